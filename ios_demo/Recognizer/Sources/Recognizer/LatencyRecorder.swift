/// A schema's `stages`: milliseconds of the counted calls.
public struct StageSummaries: Sendable, Equatable {
    public let preprocess: StageSummary
    public let execute: StageSummary
    public let postprocess: StageSummary
    public let endToEnd: StageSummary
}

/// Keeps the stage times of up to `capacity` frames; when it is full, the oldest make room.
public struct LatencyRecorder: Sendable {
    private var times: [StageTimes] = []
    private var next = 0
    private let capacity: Int

    public init(capacity: Int) {
        precondition(capacity > 0, "a recorder of no frames keeps nothing")
        self.capacity = capacity
        times.reserveCapacity(capacity)
    }

    /// Frames that are held.
    public var count: Int { times.count }

    public mutating func add(_ frame: StageTimes) {
        if times.count < capacity { times.append(frame) } else { times[next] = frame }
        next = (next + 1) % capacity
    }

    /// The figures of the frames that are held; nil when there are none.
    public func summaries() -> StageSummaries? {
        guard !times.isEmpty else { return nil }
        return StageSummaries(
            preprocess: StageSummary(times.map { milliseconds($0.preprocess) }),
            execute: StageSummary(times.map { milliseconds($0.execute) }),
            postprocess: StageSummary(times.map { milliseconds($0.postprocess) }),
            endToEnd: StageSummary(times.map { milliseconds($0.total) }))
    }

    /// Milliseconds of the frames that are held, oldest first, end to end.
    public func endToEnd() -> [Double] {
        let oldest = times.count < capacity ? 0 : next
        return times.indices.map { milliseconds(times[(oldest + $0) % times.count].total) }
    }
}

func milliseconds(_ nanoseconds: Int) -> Double { Double(nanoseconds) / 1e6 }
