/// What only the system can tell; each answer may be nil or `unknown`.
public protocol Probe {
    func footprintBytes() -> Int?
    func peakBytes() -> Int?
    func thermal() -> Thermal
    func powerMode() -> String?
    func battery() -> Battery?
}

/// How much is measured.
public struct BenchmarkPlan: Sendable, Equatable {
    public var warmup = 20  // calls after the first that do not count
    public var iterations = 200  // calls that count, without pause
    public var sustainedSeconds = 60.0  // of the long run without pause; 0: none
    public var pacedFrames = 100  // frames at the manifest's rate, as a camera gives them; 0: none

    public init() {}

    /// What a trial takes: a hint of the speed in two seconds.
    public static var trial: BenchmarkPlan {
        var plan = BenchmarkPlan()
        plan.warmup = 3
        plan.pacedFrames = 20
        return plan
    }
}

/// A measurement was told to stop.
public struct Stopped: Error { public init() {} }

/// Runs a `BenchmarkPlan` on a program that is loaded: first inference, warm-up, counted calls, a long run
/// and a paced one, with memory and heat. Blocks for its whole length: give it a queue of its own.
///
/// A phone that has a rest between two frames lowers its clocks, and its Neural Engine sleeps: calls without
/// pause flatter it. So both are measured.
public struct Benchmark<P: Program> {
    private let bundle: GestureBundle
    private let frames: GoldenFrames
    private let probe: any Probe
    private let plan: BenchmarkPlan
    private let clock: Clock
    private let pause: (Int) -> Void  // nanoseconds

    public init(
        _ bundle: GestureBundle, _ frames: GoldenFrames, probe: any Probe,
        plan: BenchmarkPlan = BenchmarkPlan(),
        clock: @escaping Clock = systemNanoseconds, pause: @escaping (Int) -> Void = sleepNanoseconds
    ) {
        self.bundle = bundle
        self.frames = frames
        self.probe = probe
        self.plan = plan
        self.clock = clock
        self.pause = pause
    }

    /// Measures; `loading` is what opening the program took and was before it.
    ///
    /// `goOn` is told the share that is done, 0 to 1, some times a second, and answers whether to go on.
    /// Throws `Stopped` when it did not, and what the program throws.
    public func run(_ program: P, _ loading: Loading, goOn: @escaping (Double) -> Bool) throws -> [RunResult]
    {
        var calls = Calls(try Recognizer(bundle.manifest, program, clock: clock), bundle, frames)
        var telling = Telling(plan, bundle.manifest.input.frameRate, clock, goOn)
        let first = try calls.next().execute
        for _ in 0..<plan.warmup { _ = try calls.next() }
        var recorder = LatencyRecorder(capacity: max(plan.iterations, 1))
        for _ in 0..<plan.iterations {
            recorder.add(try calls.next())
            try telling.tell(clock(), seconds: 0.01)
        }
        let steady = probe.footprintBytes()
        let sustained = plan.sustainedSeconds > 0 ? try sustain(&calls, &telling) : nil
        var results: [RunResult] = []
        if let stages = recorder.summaries() {
            results.append(
                RunResult(
                    program: program.name, loading: loading, warmup: plan.warmup, pacedAt: nil,
                    firstInferenceMs: milliseconds(first), stages: stages, endToEndMs: recorder.endToEnd(),
                    steadyBytes: steady, peakBytes: probe.peakBytes(), conditions: conditions(loading),
                    sustained: sustained))
        }
        if plan.pacedFrames > 0 {
            let thermal = probe.thermal()
            let paced = try paced(&calls, &telling)
            guard let stages = paced.summaries() else { return results }
            var again = loading
            again.thermal = thermal
            results.append(
                RunResult(
                    program: program.name, loading: again, warmup: plan.warmup,
                    pacedAt: bundle.manifest.input.frameRate, firstInferenceMs: milliseconds(first),
                    stages: stages, endToEndMs: paced.endToEnd(), steadyBytes: probe.footprintBytes(),
                    peakBytes: probe.peakBytes(), conditions: conditions(again), sustained: nil))
        }
        return results
    }

    /// A hint of the speed: the median of a few frames at the manifest's rate, milliseconds end to end.
    public func medianPaced(_ program: P, goOn: @escaping (Double) -> Bool) throws -> Double {
        var calls = Calls(try Recognizer(bundle.manifest, program, clock: clock), bundle, frames)
        var telling = Telling(plan, bundle.manifest.input.frameRate, clock, goOn)
        for _ in 0..<(plan.warmup + 1) { _ = try calls.next() }
        guard let stages = try paced(&calls, &telling).summaries() else {
            throw ProgramError("no frame was measured")
        }
        return stages.endToEnd.p50
    }

    /// Frames at the manifest's rate. One that takes longer than its time delays the next ones.
    private func paced(_ calls: inout Calls<P>, _ telling: inout Telling) throws -> LatencyRecorder {
        var recorder = LatencyRecorder(capacity: max(plan.pacedFrames, 1))
        let interval = Int(1e9 / bundle.manifest.input.frameRate)
        for _ in 0..<plan.pacedFrames {
            let due = clock() + interval
            recorder.add(try calls.next())
            try telling.tell(clock(), seconds: Double(interval) / 1e9)
            let rest = due - clock()
            if rest > 0 { pause(rest) }
        }
        return recorder
    }

    /// Calls without pause, a point for every second.
    private func sustain(_ calls: inout Calls<P>, _ telling: inout Telling) throws -> Sustained {
        var points: [SustainedPoint] = []
        var held: [Double] = []
        var total = 0
        let began = clock()
        var closed = began
        while true {
            held.append(milliseconds(try calls.next().total))
            let now = clock()
            let seconds = Double(now - began) / 1e9
            let last = seconds >= plan.sustainedSeconds
            if last || now - closed >= 1_000_000_000 {
                held.sort()
                points.append(
                    SustainedPoint(
                        atSeconds: thousandths(seconds), calls: held.count,
                        p50Ms: rounded(nearestRank(held, 50)),
                        p99Ms: rounded(nearestRank(held, 99))))
                total += held.count
                held.removeAll(keepingCapacity: true)
                closed = now
            }
            if last { return Sustained(seconds: thousandths(seconds), calls: total, points: points) }
            try telling.tell(now, at: seconds)
        }
    }

    private func conditions(_ loading: Loading) -> Conditions {
        Conditions(
            thermalBefore: loading.thermal, thermalAfter: probe.thermal(), powerMode: probe.powerMode(),
            battery: probe.battery())
    }

    private func thousandths(_ seconds: Double) -> Double { (seconds * 1e3).rounded() / 1e3 }
}

/// The stream that is measured: a frame at every tick, its state carried on.
private struct Calls<P: Program> {
    let recognizer: Recognizer<P>
    let frames: GoldenFrames
    let rate: Double
    var index = 0

    init(_ recognizer: Recognizer<P>, _ bundle: GestureBundle, _ frames: GoldenFrames) {
        self.recognizer = recognizer
        self.frames = frames
        rate = bundle.manifest.input.frameRate
    }

    mutating func next() throws -> StageTimes {
        let due = Double(index) / rate
        let moment = try frames.frame(index) { try recognizer.offer($0, at: due, rotation: 0) }
        index += 1
        guard let moment else { throw ProgramError("a frame at its tick was passed over") }
        return moment.times
    }
}

/// Tells the progress some times a second, so that the screen costs the measurement nothing.
private struct Telling {
    private let whole: Double
    private let goOn: (Double) -> Bool
    private var done = 0.0  // seconds, a counted call being taken for a hundredth of one
    private var told: Int
    private static let apart = 250_000_000

    init(_ plan: BenchmarkPlan, _ rate: Double, _ clock: Clock, _ goOn: @escaping (Double) -> Bool) {
        whole = Double(plan.iterations) * 0.01 + plan.sustainedSeconds + Double(plan.pacedFrames) / rate
        told = clock()
        self.goOn = goOn
    }

    /// So many seconds more are done.
    mutating func tell(_ now: Int, seconds: Double) throws {
        done += seconds
        try tell(now, done)
    }

    /// The long run is at this second of its own.
    mutating func tell(_ now: Int, at seconds: Double) throws { try tell(now, done + seconds) }

    private mutating func tell(_ now: Int, _ done: Double) throws {
        guard now - told >= Self.apart else { return }
        told = now
        if !goOn(min(done / whole, 1)) { throw Stopped() }
    }
}
