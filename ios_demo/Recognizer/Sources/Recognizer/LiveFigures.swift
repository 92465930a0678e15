/// Live figures after a frame.
public struct Figures: Sendable, Equatable {
    public var gesture: String?  // of the event that is open
    public var confidence = 0.0  // of that gesture; of the best one while there is none
    public var cameraRate = 0.0  // frames a second that the camera delivered
    public var recognizedRate = 0.0  // frames a second that the model took
    public var dropped = 0  // frames that came while the model was busy
    public var missed = 0  // ticks that no frame came for
    public var resets = 0
    public var medians: Medians?
}

/// Median milliseconds of the latest frames.
public struct Medians: Sendable, Equatable {
    public let preprocess: Double
    public let execute: Double
    public let postprocess: Double
    public let endToEnd: Double
}

/// Camera frames through one recognizer, with the figures that the screen shows of them.
///
/// There is never more than one frame waiting; who offers them counts those that were dropped. Not safe for
/// several threads.
public final class LiveStream<P: Program> {
    private let recognizer: Recognizer<P>
    private var recorder = LatencyRecorder(capacity: recent)
    private var recognized = RateMeter()
    private var medians: Medians?
    private var looked = Seen()  // what the latest frame was seen as
    private var turned = 0  // degrees, of that frame

    /// What of the frames the model sees. What was before a change is another recording.
    public var seen = Seen()

    public init(_ recognizer: Recognizer<P>) { self.recognizer = recognizer }

    /// The figures after this frame and the event that closed; nil when no tick was due.
    ///
    /// The camera delivers `cameraRate` frames a second, `dropped` of which were lost so far. Throws as
    /// `Recognizer.offer` does.
    public func take(
        _ frame: YuvFrame, at seconds: Double, rotation: Int, dropped: Int, cameraRate: Double
    ) throws -> (figures: Figures, ended: Event?)? {
        let cut = seen == looked && rotation == turned ? nil : recognizer.forget()
        looked = seen
        turned = rotation
        let part = try frame.part(seen, rotation: rotation)
        let offered = try recognizer.offer(
            part, at: seconds, rotation: rotation, mirrored: seen.mirrored)
        if let moment = offered {
            recorder.add(moment.times)
            recognized.add(seconds)
            if recognizer.taken % every == 1 { medians = recorder.summaries().map(Medians.init) }
        } else if cut == nil {
            return nil
        }
        let answer = offered?.answer
        let figures = Figures(
            gesture: answer?.current, confidence: answer?.confidence ?? 0, cameraRate: cameraRate,
            recognizedRate: recognized.rate, dropped: dropped, missed: recognizer.missed,
            resets: recognizer.resets, medians: medians)
        return (figures, offered?.ended ?? cut)
    }

    /// The camera pauses: state and decision are forgotten; the event that was open.
    public func forget() -> Event? { recognizer.forget() }
}

private let recent = 100  // frames of the medians: ten seconds
private let every = 10  // frames from one figure to the next: a person cannot read faster

extension Medians {
    init(_ stages: StageSummaries) {
        self.init(
            preprocess: stages.preprocess.p50, execute: stages.execute.p50,
            postprocess: stages.postprocess.p50,
            endToEnd: stages.endToEnd.p50)
    }
}
