import Foundation

/// What the golden clip says of a program on this device.
public struct CheckResult: Sendable, Equatable {
    public let deviation: Double  // max |logit - golden| over max |golden|; NaN when the program failed
    public let tolerance: Double  // the manifest's bound of it
    public let reason: String?  // why it did not pass, in one line; nil when it did

    public var passed: Bool { reason == nil }
}

/// Feeds the golden clip to a program from a zero state and compares the logits; a device that is off by
/// more than the manifest's tolerance computes something else and should use another program.
///
/// A program that fails does not pass. Throws `BundleError` when the golden clip cannot be read.
public func selfCheck<P: Program>(_ bundle: GestureBundle, _ program: P) throws -> CheckResult {
    let manifest = bundle.manifest
    let tolerance = manifest.golden.tolerance
    let expected = try bundle.goldenLogits()
    let pixels = try bundle.goldenPixels()
    var difference = 0.0
    var largest = 0.0
    do {
        let session = try StreamSession(manifest, program)
        for (frame, wanted) in expected.enumerated() {
            try program.picture { $0.fill(pixels, from: frame * manifest.golden.pixels.bytesAFrame) }
            try session.step()
            for (logit, value) in zip(session.logits, wanted) {
                difference = max(difference, abs(Double(logit) - Double(value)))
                largest = max(largest, abs(Double(value)))
            }
        }
    } catch {
        return CheckResult(deviation: .nan, tolerance: tolerance, reason: oneLine(error))
    }
    let deviation = difference == 0 ? 0 : difference / largest
    // The product, as the bundle's format has it: golden logits of zeros are no division by zero.
    if difference <= tolerance * largest {
        return CheckResult(deviation: deviation, tolerance: tolerance, reason: nil)
    }
    let reason =
        "\(program.name) is \(threeDigits(deviation)) of the largest logit from the golden clip, "
        + "\(threeDigits(tolerance)) is allowed: choose another model"
    return CheckResult(deviation: deviation, tolerance: tolerance, reason: reason)
}

private func threeDigits(_ ratio: Double) -> String { String(format: "%.3g", ratio) }
