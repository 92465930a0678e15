import Foundation

/// Milliseconds of a stage; `std` is the population's.
public struct StageSummary: Sendable, Equatable {
    public let count: Int
    public let min: Double
    public let mean: Double
    public let p50: Double
    public let p90: Double
    public let p99: Double
    public let std: Double

    /// The figures of times in milliseconds, of which there is at least one.
    public init(_ values: [Double]) {
        precondition(!values.isEmpty, "no times to sum up")
        let ordered = values.sorted()
        let mean = accurateSum(ordered) / Double(ordered.count)
        let squares = ordered.map { ($0 - mean) * ($0 - mean) }
        count = ordered.count
        min = rounded(ordered[0])
        self.mean = rounded(mean)
        p50 = rounded(nearestRank(ordered, 50))
        p90 = rounded(nearestRank(ordered, 90))
        p99 = rounded(nearestRank(ordered, 99))
        std = rounded((accurateSum(squares) / Double(ordered.count)).squareRoot())
    }
}

/// The smallest value that at least `percent` % (1 to 100) of the ordered values do not exceed: the one of
/// rank ceil(percent * count / 100), counted from 1.
func nearestRank(_ ordered: [Double], _ percent: Int) -> Double {
    ordered[(percent * ordered.count + 99) / 100 - 1]
}

/// Milliseconds as they are written: four decimals.
func rounded(_ ms: Double) -> Double { (ms * 1e4).rounded(.toNearestOrEven) / 1e4 }

/// Neumaier's compensated sum: the order of the values does not show in the result.
private func accurateSum(_ values: [Double]) -> Double {
    var sum = 0.0
    var lost = 0.0
    for value in values {
        let next = sum + value
        lost += abs(sum) >= abs(value) ? (sum - next) + value : (value - next) + sum
        sum = next
    }
    return sum + lost
}

/// With so many digits behind the point, in any locale.
func fixed(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)f", value)
}
