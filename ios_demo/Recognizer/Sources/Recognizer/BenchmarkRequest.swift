/// What is asked for, by the button or by launch arguments; nil: as the app sees fit.
public struct BenchmarkRequest: Sendable, Equatable {
    public var bundle: String?  // folder name
    public var units: ComputeUnits?
    public var iterations: Int?  // calls that count
    public var seconds: Int?  // of the long run; 0: none

    public init() {}

    /// The request in a process's arguments: `--benchmark`, and after it, all optional, `--bundle NAME`,
    /// `--units NAME`, `--iterations N`, `--seconds N`. Nil without `--benchmark`.
    ///
    /// Throws `BundleError` for an argument that cannot be followed: figures of something else than a
    /// script asked for would mislead it.
    public init?(arguments: [String]) throws {
        guard arguments.contains("--benchmark") else { return nil }
        bundle = value("--bundle", arguments)
        if let name = value("--units", arguments) {
            guard let found = ComputeUnits(rawValue: name) else {
                let all = ComputeUnits.allCases.map(\.rawValue).joined(separator: ", ")
                throw BundleError("--units \(name): there are \(all)")
            }
            units = found
        }
        iterations = try number("--iterations", arguments, 1...10_000)
        seconds = try number("--seconds", arguments, 0...3_600)
    }

    public var plan: BenchmarkPlan {
        var plan = BenchmarkPlan()
        if let iterations { plan.iterations = iterations }
        if let seconds { plan.sustainedSeconds = Double(seconds) }
        return plan
    }
}

private func value(_ name: String, _ arguments: [String]) -> String? {
    guard let at = arguments.firstIndex(of: name), at + 1 < arguments.count else { return nil }
    return arguments[at + 1]
}

private func number(_ name: String, _ arguments: [String], _ range: ClosedRange<Int>) throws -> Int? {
    guard let text = value(name, arguments) else { return nil }
    guard let number = Int(text), range.contains(number) else {
        throw BundleError(
            "\(name) \(text): give a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
}
