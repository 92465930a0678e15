/// Which camera frames a stream takes, by their time stamps alone; `docs/bundle.md`, Ticks.
///
/// `frame` decides; `missed` and `reset` tell about the frame that it was asked for last.
public struct Ticks: Sendable {
    /// Ticks before the last frame that no frame came for.
    public private(set) var missed = 0
    /// Whether state and decision have to be forgotten before the last frame.
    public private(set) var reset = false

    private let rate: Double
    private let resetAfterMissed: Int
    private var first: Double?  // time of tick 0
    private var last = 0.0  // number of the latest tick that was served
    private var latest = -Double.infinity  // time of the latest frame

    // A frame serves a tick from a quarter of a period before it on: cameras jitter.
    private static let early = 0.25
    private static let mostMissed = Double(Int32.max)

    public init(rate: Double, resetAfterMissed: Int) {
        self.rate = rate
        self.resetAfterMissed = resetAfterMissed
    }

    /// Whether the frame of this time stamp, in seconds, is taken.
    ///
    /// The clock starts anew with the first frame, with one that is earlier than the frame before it,
    /// and after too many missed ticks.
    public mutating func frame(at seconds: Double) -> Bool {
        let back = seconds < latest
        latest = seconds
        missed = 0
        reset = false
        guard let first, !back else {
            start(at: seconds)
            reset = back
            return true
        }
        let number = ((seconds - first) * rate + Self.early).rounded(.down)
        guard number > last else { return false }
        missed = Int(min(number - last - 1, Self.mostMissed))
        last = number
        if missed >= resetAfterMissed {
            start(at: seconds)
            reset = true
        }
        return true
    }

    /// As before the first frame: the time until the next one is no missed ticks.
    public mutating func restart() {
        first = nil
        latest = -.infinity
    }

    private mutating func start(at seconds: Double) {
        first = seconds
        last = 0
    }
}
