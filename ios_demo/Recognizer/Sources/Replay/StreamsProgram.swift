import Foundation
import Recognizer

/// A program at the other end of this process's standard streams. A value is the bytes that came.
final class StreamsProgram: Program {
    let name = "streams"
    private let manifest: Manifest
    private var bytes: [UInt8]  // BGRA, rows padded as a pixel buffer's may be
    private let rowStride: Int

    init(_ manifest: Manifest) {
        self.manifest = manifest
        rowStride = 4 * manifest.input.size + 64
        bytes = [UInt8](repeating: 0, count: rowStride * manifest.input.size)
    }

    func picture(_ fill: (BgraTarget) throws -> Void) throws {
        let size = manifest.input.size
        try bytes.withUnsafeMutableBytes { raw in
            try fill(BgraTarget(bytes: raw, size: size, rowStride: rowStride))
        }
    }

    func zeros(_ tensor: TensorSpec) throws -> Data { Data(count: tensor.size * width(tensor)) }

    func run(_ states: [String: Data]) throws -> [String: Data] {
        var call = rgb()
        for state in manifest.state {
            guard let value = states[state.input.name] else { throw ProgramError("no \(state.input.name)") }
            call += value
        }
        try FileHandle.standardOutput.write(contentsOf: call)
        var answer: [String: Data] = [:]
        for output in manifest.outputs { answer[output.name] = try exactly(output.size * width(output)) }
        return answer
    }

    func read(_ value: Data, into logits: inout [Float]) throws {
        let half = manifest.outputs[0].scalar == .float16
        guard value.count == logits.count * (half ? 2 : 4) else {
            throw ProgramError("logits of another size")
        }
        value.withUnsafeBytes { raw in
            for i in logits.indices {
                logits[i] =
                    half
                    ? Float(raw.loadUnaligned(fromByteOffset: 2 * i, as: Float16.self))
                    : raw.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)
            }
        }
    }

    private func width(_ tensor: TensorSpec) -> Int { tensor.scalar == .float16 ? 2 : 4 }

    private func rgb() -> Data {
        let size = manifest.input.size
        var planes = Data(capacity: 3 * size * size)
        for colour in [2, 1, 0] {
            for row in 0..<size {
                for column in 0..<size { planes.append(bytes[row * rowStride + 4 * column + colour]) }
            }
        }
        return planes
    }

    private func exactly(_ count: Int) throws -> Data {
        var data = Data(capacity: count)
        while data.count < count {
            guard let more = try FileHandle.standardInput.read(upToCount: count - data.count), !more.isEmpty
            else {
                throw ProgramError("the program ended")
            }
            data += more
        }
        return data
    }
}
