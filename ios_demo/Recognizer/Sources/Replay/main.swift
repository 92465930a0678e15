// A recorded camera through the recogniser, with a program at the other end of the standard streams.
//
//     Replay FOLDER [--report]
//
// FOLDER has a bundle, `bundle/`; `recording.nv12`, frames of Y and of U and V in turn, rows unpadded; and
// `recording.json` with their width, height, rotation and times in seconds. A call goes to standard output:
// the picture as RGB bytes (3, size, size), then every state as little-endian values of its type, in the
// manifest's order. The answer comes back on standard input: every output so. What was seen, as JSON, goes
// to `seen.json` in FOLDER; with --report a short benchmark writes `report.json`.

import Foundation
import Recognizer

struct Recording: Decodable {
    let width: Int, height: Int, rotation: Int
    let times: [Double]
}

struct Seen: Encodable {
    struct Gesture: Encodable { let label: String, start: Double, end: Double, confidence: Double }
    var golden = 0.0  // deviation
    var tolerance = 0.0
    var reason: String?
    var taken = 0
    var events: [Gesture] = []
}

struct Silence: Probe {
    func footprintBytes() -> Int? { nil }
    func peakBytes() -> Int? { nil }
    func thermal() -> Thermal { Thermal() }
    func powerMode() -> String? { nil }
    func battery() -> Battery? { nil }
}

func run(_ folder: URL, report: Bool) throws {
    let bundle = try GestureBundle(opening: folder.appending(path: "bundle"))
    let manifest = bundle.manifest
    let recording = try JSONDecoder().decode(
        Recording.self, from: Data(contentsOf: folder.appending(path: "recording.json")))
    let program = StreamsProgram(manifest)
    let check = try selfCheck(bundle, program)
    var seen = Seen(golden: check.deviation, tolerance: check.tolerance, reason: check.reason)
    let recognizer = try Recognizer(manifest, program)
    let data = try Data(contentsOf: folder.appending(path: "recording.nv12"), options: .mappedIfSafe)
    let luma = recording.width * recording.height
    let stride = 2 * ((recording.width + 1) / 2)
    let size = luma + stride * ((recording.height + 1) / 2)
    var ended: [Event] = []
    try data.withUnsafeBytes { raw in
        for (i, time) in recording.times.enumerated() {
            let one = UnsafeRawBufferPointer(rebasing: raw[(i * size)..<((i + 1) * size)])
            func plane(_ from: Int, _ rowStride: Int, _ pixelStride: Int) -> Plane {
                let bytes = UnsafeRawBufferPointer(rebasing: one[from...])
                return Plane(bytes: bytes, rowStride: rowStride, pixelStride: pixelStride)
            }
            let frame = try YuvFrame(
                width: recording.width, height: recording.height, y: plane(0, recording.width, 1),
                u: plane(luma, stride, 2), v: plane(luma + 1, stride, 2))
            if let event = try recognizer.offer(frame, at: time, rotation: recording.rotation)?.ended {
                ended.append(event)
            }
        }
    }
    if let event = recognizer.forget() { ended.append(event) }
    seen.taken = recognizer.taken
    seen.events = ended.map {
        .init(label: $0.label, start: $0.start, end: $0.end, confidence: $0.confidence)
    }
    try JSONEncoder().encode(seen).write(to: folder.appending(path: "seen.json"))
    if report { try measure(bundle, program, into: folder.appending(path: "report.json")) }
}

func measure(_ bundle: GestureBundle, _ program: StreamsProgram, into file: URL) throws {
    var plan = BenchmarkPlan()
    plan.warmup = 2
    plan.iterations = 10
    plan.sustainedSeconds = 1.5
    plan.pacedFrames = 5
    let frames = try GoldenFrames(bundle)
    let loading = Loading(
        coldMs: 0, warmMs: nil, units: .cpuOnly, beforeBytes: nil, thermal: Thermal(), fallback: nil)
    let runs = try Benchmark(bundle, frames, probe: Silence(), plan: plan).run(program, loading) { _ in true }
    let device = DeviceFacts(
        model: "test", cores: 1, memoryBytes: nil, os: "Linux", osVersion: "", osBuild: "", kind: "host")
    let report = try latencyReport(
        name: "Replay", created: Date(), device: device, manifest: bundle.manifest, frames: frames,
        placement: nil,
        runs: runs, tools: bundle.manifest.tools)
    try report.write(to: file)
}

let arguments = CommandLine.arguments
guard arguments.count >= 2 else {
    FileHandle.standardError.write(Data("usage: Replay FOLDER [--report]\n".utf8))
    exit(2)
}
do {
    try run(URL(filePath: arguments[1]), report: arguments.contains("--report"))
} catch {
    FileHandle.standardError.write(Data("error: \(oneLine(error))\n".utf8))
    exit(2)
}
