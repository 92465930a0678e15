/// Nanoseconds of a clock that only goes on.
public typealias Clock = () -> Int

/// The system's own.
public func systemNanoseconds() -> Int {
    let (seconds, attoseconds) = (ContinuousClock.now - start).components
    return Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)
}

private let start = ContinuousClock.now

/// Times of one frame's stages, nanoseconds; they follow each other without a gap.
public struct StageTimes: Sendable, Equatable {
    public var preprocess = 0
    public var execute = 0
    public var postprocess = 0

    public init(preprocess: Int = 0, execute: Int = 0, postprocess: Int = 0) {
        self.preprocess = preprocess
        self.execute = execute
        self.postprocess = postprocess
    }

    public var total: Int { preprocess + execute + postprocess }
}

/// What came of a frame that was taken.
public struct Moment: Sendable {
    public let seconds: Double  // the frame's time stamp
    public let answer: Answer
    public let missed: Int  // ticks before this one that no frame came for
    public let reset: Bool  // whether state and decision were forgotten before this frame
    public let ended: Event?  // the event that closed with this frame, or with a reset before it
    public let times: StageTimes
}

/// One stream: ticks, pre-processing, program with its state, decision rule. Not safe for several threads:
/// whoever owns the program owns it.
public final class Recognizer<P: Program> {
    private var ticks: Ticks
    private let preprocessor: Preprocessor
    private let session: StreamSession<P>
    private var decider: Decider
    private let clock: Clock

    /// Frames that were taken so far.
    public private(set) var taken = 0
    /// Ticks that no frame came for.
    public private(set) var missed = 0
    /// How often state and decision were forgotten because of time stamps.
    public private(set) var resets = 0

    /// Throws what the program throws when it makes its states.
    public init(_ manifest: Manifest, _ program: P, clock: @escaping Clock = systemNanoseconds) throws {
        ticks = Ticks(rate: manifest.input.frameRate, resetAfterMissed: manifest.resetAfterMissed)
        preprocessor = Preprocessor(size: manifest.input.size)
        session = try StreamSession(manifest, program)
        decider = Decider(manifest.decision)
        self.clock = clock
    }

    /// Offers a frame with its time stamp (of one clock, ascending); nil when no tick is due for it.
    /// `rotation` and `mirrored` are those of `Preprocessor.process`.
    ///
    /// Throws `ProgramError` when the program fails or gives logits that are not finite, and
    /// `PictureError` as `Preprocessor.process` does.
    public func offer(
        _ frame: YuvFrame, at seconds: Double, rotation: Int, mirrored: Bool = false
    ) throws -> Moment? {
        guard ticks.frame(at: seconds) else { return nil }
        let closed = ticks.reset ? clear() : nil
        if ticks.reset { resets += 1 }
        taken += 1
        missed += ticks.missed
        let began = clock()
        try session.program.picture { target in
            try preprocessor.process(frame, rotation: rotation, mirrored: mirrored, into: target)
        }
        let ready = clock()
        try session.step()
        let called = clock()
        let answer = decider.update(time: seconds, logits: session.logits)
        let done = clock()
        return Moment(
            seconds: seconds, answer: answer, missed: ticks.missed, reset: ticks.reset,
            // A frame right after a reset closes nothing, so there is never a second event.
            ended: answer.ended ?? closed,
            times: StageTimes(preprocess: ready - began, execute: called - ready, postprocess: done - called))
    }

    /// Back to before the first frame; the event that was open. For a stream that ends or pauses.
    @discardableResult
    public func forget() -> Event? {
        ticks.restart()
        return clear()
    }

    private func clear() -> Event? {
        session.reset()
        return decider.reset()
    }
}
