import Foundation

/// The numbers of a manifest's `decision` and the labels of the logits.
public struct Rule: Sendable, Equatable {
    public let labels: [String]
    public let noneLabels: Set<String>
    public let window: Int  // frames in the mean of the logits
    public let threshold: Double  // least probability of an answer
    public let agree: Int  // frames in a row that a new answer needs
    public let release: Int  // frames in a row without its label that end an event

    public init(
        labels: [String], noneLabels: Set<String>, window: Int, threshold: Double, agree: Int, release: Int
    ) {
        self.labels = labels
        self.noneLabels = noneLabels
        self.window = window
        self.threshold = threshold
        self.agree = agree
        self.release = release
    }
}

/// One gesture. Times are those of the first and the last frame that its label won, in seconds.
public struct Event: Sendable, Equatable {
    public let label: String
    public let start: Double
    public let end: Double
    public let confidence: Double  // the largest probability of its label among these frames
}

/// What one frame says; nil stands for *none*.
public struct Answer: Sendable, Equatable {
    public var winner: String?  // this frame's own answer
    public var confidence = 0.0  // of the gesture that is open; the best one's while there is none
    public var best = 0.0  // probability of the best label that is a gesture
    public var current: String?  // label of the event that is open after this frame
    public var started: String?  // label of an event that opens with this frame
    public var ended: Event?  // the event that closes with this frame
}

/// The decision rule, frame by frame; `docs/bundle.md`, Deciding. Its buffers are made once.
public struct Decider: Sendable {
    private struct Open { var label: Int, start: Double, end: Double, most: Double }

    private let rule: Rule
    private let gestures: [Int]
    private var rows: [Double]  // a ring of logits, (window, labels)
    private var held = 0  // rows that count
    private var next = 0  // the row that is written next
    private var winner: Int?  // of the latest frame
    private var since = 0.0  // of the run of equal winners
    private var count = 0
    private var best = 0.0
    private var open: Open?
    private var without = 0  // frames in a row that the open event's label has not won

    /// Of all labels after the latest frame, in their order.
    public private(set) var probabilities: [Double]

    public init(_ rule: Rule) {
        self.rule = rule
        gestures = rule.labels.indices.filter { !rule.noneLabels.contains(rule.labels[$0]) }
        rows = [Double](repeating: 0, count: rule.window * rule.labels.count)
        probabilities = [Double](repeating: 0, count: rule.labels.count)
    }

    /// Forgets logits and runs; the event that this closes, if one was open.
    public mutating func reset() -> Event? {
        let ended = close()
        held = 0
        next = 0
        winner = nil
        count = 0
        without = 0
        return ended
    }

    /// Takes the logits of the frame of `time`, in seconds.
    public mutating func update(time: Double, logits: [Float]) -> Answer {
        keep(logits)
        spread()
        var top: Int?
        for i in gestures where top == nil || probabilities[i] > probabilities[top!] { top = i }
        let confidence = top.map { probabilities[$0] } ?? 0
        let won = confidence >= rule.threshold ? top : nil
        if won != winner || count == 0 {
            winner = won
            since = time
            count = 0
            best = 0
        }
        count += 1
        best = max(best, confidence)
        var answer = Answer()
        answer.ended = follow(won, time: time, confidence: confidence)
        answer.started = begin(time: time)
        answer.winner = won.map { rule.labels[$0] }
        answer.best = confidence
        answer.current = open.map { rule.labels[$0.label] }
        answer.confidence = open.map { probabilities[$0.label] } ?? confidence
        return answer
    }

    private mutating func keep(_ logits: [Float]) {
        let labels = rule.labels.count
        for i in 0..<labels { rows[next * labels + i] = Double(logits[i]) }
        next = (next + 1) % rule.window
        held = min(held + 1, rule.window)
    }

    /// Softmax of the mean; the largest is taken off first, so that nothing overflows.
    private mutating func spread() {
        let labels = rule.labels.count
        for i in 0..<labels { probabilities[i] = 0 }
        // From the oldest on, as every implementation sums them.
        for age in stride(from: held, to: 0, by: -1) {
            let row = (next - age + rule.window) % rule.window * labels
            for i in 0..<labels { probabilities[i] += rows[row + i] }
        }
        var largest = -Double.infinity
        for i in 0..<labels {
            probabilities[i] /= Double(held)
            largest = max(largest, probabilities[i])
        }
        var total = 0.0
        for i in 0..<labels {
            probabilities[i] = exp(probabilities[i] - largest)
            total += probabilities[i]
        }
        for i in 0..<labels { probabilities[i] /= total }
    }

    /// Lengthens the open event or counts a frame against it; the event if this closes it.
    private mutating func follow(_ won: Int?, time: Double, confidence: Double) -> Event? {
        guard var now = open else { return nil }
        if won == now.label {
            now.end = time
            now.most = max(now.most, confidence)
            open = now
            without = 0
            return nil
        }
        without += 1
        return without < rule.release ? nil : close()
    }

    /// Opens an event when none is open and the latest frames agree on a gesture; its label.
    private mutating func begin(time: Double) -> String? {
        guard open == nil, let winner, count >= rule.agree else { return nil }
        open = Open(label: winner, start: since, end: time, most: best)
        without = 0
        return rule.labels[winner]
    }

    private mutating func close() -> Event? {
        guard let now = open else { return nil }
        open = nil
        return Event(label: rule.labels[now.label], start: now.start, end: now.end, confidence: now.most)
    }
}
