/// How many things a second came lately, by their time stamps in seconds.
public struct RateMeter: Sendable {
    private var times: [Double] = []
    private static let capacity = 64
    private static let pause = 2.0

    public init() { times.reserveCapacity(Self.capacity) }

    public mutating func add(_ seconds: Double) {
        // Another clock, or the camera was opened again: what was before says nothing.
        if let last = times.last, seconds < last || seconds - last > Self.pause {
            times.removeAll(keepingCapacity: true)
        }
        if times.count == Self.capacity { times.removeFirst() }
        times.append(seconds)
    }

    /// A second; 0 until there are two.
    public var rate: Double {
        guard let first = times.first, let last = times.last, last > first else { return 0 }
        return Double(times.count - 1) / (last - first)
    }
}
