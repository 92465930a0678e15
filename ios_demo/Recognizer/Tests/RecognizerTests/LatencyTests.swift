import Foundation
import Testing

@testable import Recognizer

private struct FakeProbe: Probe {
    func footprintBytes() -> Int? { 1000 }
    func peakBytes() -> Int? { 2000 }
    func thermal() -> Thermal { Thermal("nominal") }
    func powerMode() -> String? { "normal" }
    func battery() -> Battery? { Battery(level: 0.5, charging: false) }
}

struct LatencyTests {
    private let place = TemporaryFolder()
    private let bundle: GestureBundle
    private let loading = Loading(
        coldMs: 12.34567, warmMs: 3, units: .cpuAndNeuralEngine, beforeBytes: 500, thermal: Thermal("fair"),
        fallback: nil)

    init() throws { bundle = try GestureBundle(opening: smallBundle(in: place)) }

    @Test func figuresOfTimes() {
        let summary = StageSummary((1...200).map { Double(201 - $0) })
        #expect(summary.count == 200 && summary.min == 1 && summary.mean == 100.5)
        #expect([summary.p50, summary.p90, summary.p99] == [100, 180, 198])
        #expect(summary.std == 57.7343)
        #expect(StageSummary([3]).p99 == 3)
    }

    @Test func aRecorderKeepsTheLatest() {
        var recorder = LatencyRecorder(capacity: 3)
        #expect(recorder.summaries() == nil)
        for i in 1...5 { recorder.add(StageTimes(preprocess: 0, execute: i * 1_000_000, postprocess: 0)) }
        #expect(recorder.endToEnd() == [3, 4, 5])
        #expect(recorder.summaries()?.execute.p50 == 4)
    }

    /// A benchmark whose clock is moved by its calls and its pauses alone.
    private func measure(
        _ plan: BenchmarkPlan, goOn: @escaping (Double) -> Bool = { _ in true }
    ) throws -> (runs: [RunResult], paused: Int) {
        var now = 0
        var paused = 0
        let benchmark = Benchmark<CountingProgram>(
            bundle, try GoldenFrames(bundle, width: 16, height: 8), probe: FakeProbe(), plan: plan,
            clock: {
                now += 1_000_000
                return now
            },
            pause: {
                paused += 1
                now += $0
            })
        return (try benchmark.run(CountingProgram(), loading, goOn: goOn), paused)
    }

    @Test func bothRunsAreMeasured() throws {
        var plan = BenchmarkPlan()
        plan.sustainedSeconds = 3
        plan.pacedFrames = 7
        let (runs, paused) = try measure(plan)
        #expect(runs.count == 2)
        #expect(runs[0].stages.endToEnd.count == 200 && runs[0].stages.endToEnd.p50 == 3)
        #expect(runs[0].pacedAt == nil && runs[1].pacedAt == 10)
        let sustained = try #require(runs[0].sustained)
        #expect(sustained.seconds >= 3)
        #expect(sustained.points.map(\.calls).reduce(0, +) == sustained.calls)
        #expect(runs[1].stages.endToEnd.count == 7)
        #expect(paused == 7)
    }

    @Test func itCanBeStopped() throws {
        var asked = 0
        #expect(throws: Stopped.self) {
            try measure(BenchmarkPlan()) { share in
                asked += 1
                #expect((0...1).contains(share))
                return asked < 3
            }
        }
        #expect(asked == 3)
    }

    @Test func theReportIsWhole() throws {
        var plan = BenchmarkPlan()
        plan.sustainedSeconds = 1
        plan.pacedFrames = 2
        let device = DeviceFacts(
            model: "iPhone16,1", cores: 6, memoryBytes: 8 << 30, os: "iOS", osVersion: "17.4",
            osBuild: "21E219")
        let data = try latencyReport(
            name: "iPhone16,1, small", created: Date(timeIntervalSince1970: 0), device: device,
            manifest: bundle.manifest, frames: try GoldenFrames(bundle),
            placement: PlacementFacts(neuralEngine: 9, gpu: 0, cpu: 1),
            runs: try measure(plan).runs, tools: ["app": "0.1.0"])
        // The tests in Python hold this file to the schema.
        if let folder = ProcessInfo.processInfo.environment["SCRATCH"] {
            try data.write(to: URL(filePath: folder).appending(path: "report.json"), options: .atomic)
        }
        let report = try Json.parse(data)
        #expect(report["created"].text == "1970-01-01T00:00:00Z")
        #expect(report["device"]["soc"] == .null)
        #expect(report["artifact"]["delegated_share"].number == 0.9)
        #expect(report["runs"].items[0]["cold_load_ms"].number == 12.3457)
        #expect(
            report["runs"].items[0]["operators_note"].text?.contains(
                "anticipated by MLComputePlan: 9 operations") == true)
        let file = try ReportFolder(place.url.appending(path: "reports")).write(
            data, bundle: "small", created: Date(timeIntervalSince1970: 86_400))
        #expect(file.lastPathComponent == "small-19700102-000000.json")
        #expect(try Data(contentsOf: file) == data)
    }

    @Test func theGoldenClipAsACameraGivesIt() throws {
        let frames = try GoldenFrames(bundle, width: 64, height: 48)
        let pixels = try bundle.goldenPixels()
        // Enlarged and shrunk again it is the same but for rounding and chroma, which has a quarter of it.
        let program = CountingProgram()
        let session = try StreamSession(bundle.manifest, program)
        for index in 0..<3 {
            try frames.frame(index) { frame in
                try program.picture {
                    try Preprocessor(size: side).process(frame, rotation: 0, mirrored: false, into: $0)
                }
            }
            try session.step()
            let area = 3 * side * side
            let mean =
                pixels[(index * area)..<((index + 1) * area)].reduce(0) { $0 + Double($1) } / Double(area)
            #expect(abs(Double(session.logits[0]) - (mean / 127.5 - 1)) < 0.05)
        }
    }

    @Test func launchArguments() throws {
        #expect(try BenchmarkRequest(arguments: ["app"]) == nil)
        let request = try #require(
            try BenchmarkRequest(arguments: [
                "app", "--benchmark", "--units", "cpuOnly", "--seconds", "0", "--iterations", "7", "--bundle",
                "x",
            ]))
        #expect(request.units == .cpuOnly && request.bundle == "x")
        #expect(request.plan.sustainedSeconds == 0 && request.plan.iterations == 7)
        #expect(throws: BundleError.self) {
            try BenchmarkRequest(arguments: ["--benchmark", "--units", "ane"])
        }
        #expect(throws: BundleError.self) {
            try BenchmarkRequest(arguments: ["--benchmark", "--seconds", "-1"])
        }
    }
}
