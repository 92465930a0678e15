import CoreML
import Recognizer
import os

/// The one program that is loaded, and all that is done with it, on a queue of its own, since every call
/// here may block: frames, trials, loading, measurements.
actor Pipeline {
    enum Update: Sendable {
        case step(Step)
        case chosen(ModelFacts)
        case ready  // frames can come
        case interrupted  // whatever was under way was broken off: the app left the screen
        case unreadable  // none of the latest pictures could be read
        case failed(String)  // the model broke down and another is looked for
        case impossible(String)  // there is no model; why and what to do
        case recognized(Figures?, ended: Event?)  // no figures: the camera paused
        case measuring(Double)
        case measured(WrittenReport?, line: String?)
    }

    nonisolated let updates: AsyncStream<Update>
    nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

    private let queue = DispatchSerialQueue(label: "model", qos: .userInteractive)
    private let told: AsyncStream<Update>.Continuation
    private let frames: FrameSource
    private let going = OSAllocatedUnfairLock(initialState: true)  // what takes long may go on
    private let visible = OSAllocatedUnfairLock(initialState: true)  // the app is on the screen
    private let store: BundleStore
    private let compiled: CompiledModels
    private let memory: TrialMemory
    private let notes: FileNotebook
    private let reports: ReportFolder
    private var chosen: ChosenModel?
    private var stream: LiveStream<CoreMLProgram>?
    private var firstLoads: [String: Double] = [:]  // milliseconds of the process's first load of each
    private var seen = Seen()
    private var unreadable = 0  // pictures in a row

    init(frames: FrameSource) {
        self.frames = frames
        (updates, told) = AsyncStream.makeStream()
        let support = URL.applicationSupportDirectory
        let inside = Bundle.main.bundleURL.appending(path: "Bundles")
        let own = URL.documentsDirectory.appending(path: "Bundles")
        // So that the Files app shows where one's own go; without room there is none to put them.
        try? FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
        store = BundleStore([inside, own])
        compiled = CompiledModels(folder: support.appending(path: "compiled"), build: Device.build)
        notes = FileNotebook(support.appending(path: "notes.json"))
        memory = TrialMemory(notes, surroundings: Device.surroundings)
        reports = ReportFolder(URL.documentsDirectory.appending(path: "reports"))
        try? memory.settle()  // without notes there is nothing to settle
    }

    /// Ends a trial or a measurement before its time.
    nonisolated func stop() { going.withLock { $0 = false } }

    /// The app is on the screen, or not any more: there the system takes the GPU away, so that what fails
    /// says nothing of a model.
    nonisolated func entered(_ foreground: Bool) {
        visible.withLock { $0 = foreground }
        if !foreground { stop() }
    }

    /// Takes frames as they come, for as long as the app runs.
    func consume() async {
        for await frame in frames.stream where frames.isOpen { take(frame) }
    }

    /// What of the frames the model is to see.
    func see(_ seen: Seen) {
        self.seen = seen
        stream?.seen = seen
    }

    /// The camera pauses: what it saw is over.
    func forget() {
        if let event = stream?.forget() { told.yield(.recognized(nil, ended: event)) }
    }

    /// Opens a model for frames: the one that a person wants or wanted, else the fastest that is right.
    func load(_ wanted: Candidate?, again: Bool) async {
        forget()
        stream = nil
        do {
            try begin()
            if let wanted { try? notes.put(Self.wanted, Self.text(wanted)) }
            try await choose(wanted ?? remembered(), again: again)
            // What passed its trial and does not compute now has failed, and the next one is due.
            while try await !open() { try await choose(wanted ?? remembered(), again: false) }
            told.yield(.ready)
        } catch is Stopped {
            told.yield(.interrupted)
        } catch {
            chosen = nil
            told.yield(.impossible(oneLine(error)))
        }
    }

    /// What is asked for while nobody sees the app waits until somebody does.
    private func begin() throws {
        guard visible.withLock({ $0 }) else { throw Stopped() }
        going.withLock { $0 = true }
    }

    private func choose(_ wanted: Candidate?, again: Bool) async throws {
        told.yield(.step(.opening))
        let found = store.list()
        compiled.prune(keeping: found.compactMap(\.manifest))
        var choice = try ModelChoice(
            found, memory, wanted: wanted, again: again,
            system: ProcessInfo.processInfo.operatingSystemVersion.majorVersion)
        let all = choice.candidates.count
        while let next = choice.next() {
            told.yield(.step(.trying(next, number: all - choice.left + 1, of: all)))
            try choice.begin(next)
            do {
                try choice.record(next, try await attempt(choice.bundle(next), next.units))
            } catch is Stopped {
                try choice.abandon(next)
                throw Stopped()
            }
        }
        chosen = try choice.result()
    }

    /// The golden clip, and a hint of the speed at the manifest's frame rate.
    private func attempt(_ bundle: GestureBundle, _ units: ComputeUnits) async throws -> Trial {
        do {
            let program = try await timedLoad(bundle, units).program
            let check = try selfCheck(bundle, program)
            if let reason = check.reason { return try failedOnScreen(reason) }
            let benchmark = Benchmark<CoreMLProgram>(
                bundle, try GoldenFrames(bundle), probe: await Device(), plan: .trial)
            let going = self.going
            let median = try benchmark.medianPaced(program) { _ in going.withLock { $0 } }
            return Trial(medianMs: median, deviation: check.deviation)
        } catch let error as Stopped {
            throw error
        } catch {
            return try failedOnScreen(oneLine(error))
        }
    }

    /// What fails after the app left the screen says nothing: the system takes the GPU away there.
    private func failedOnScreen(_ reason: String) throws -> Trial {
        guard visible.withLock({ $0 }) else { throw Stopped() }
        return Trial(failed: reason)
    }

    /// Opens the chosen model for frames; false when it does not compute, which is written down.
    private func open() async throws -> Bool {
        guard let chosen else { return true }
        let (sha256, units) = (chosen.bundle.manifest.artifact.sha256, chosen.candidate.units)
        told.yield(.step(.loading(chosen.candidate)))
        try memory.load(sha256, units)
        do {
            stream = try await computing(chosen)
        } catch {
            try? memory.loaded()  // it failed, and the process lives
            throw error
        }
        try? memory.loaded()  // at worst it is tried again
        guard stream != nil else { return false }
        told.yield(.chosen(ModelFacts(chosen)))
        return true
    }

    /// A stream of the model, which has to compute at all, camera or none: its trial was before. Nil and a
    /// trial that failed otherwise.
    private func computing(_ chosen: ChosenModel) async throws -> LiveStream<CoreMLProgram>? {
        let (bundle, units) = (chosen.bundle, chosen.candidate.units)
        let program = try await timedLoad(bundle, units).program
        let check = try selfCheck(bundle, program)
        if check.deviation.isNaN, let reason = check.reason {
            try memory.end(bundle.manifest.artifact.sha256, units, try failedOnScreen(reason))
            return nil
        }
        let opened = LiveStream(try Recognizer(bundle.manifest, program))
        opened.seen = seen
        return opened
    }

    /// A loaded program with the milliseconds that it took; remembers the first load of each.
    private func timedLoad(
        _ bundle: GestureBundle, _ units: ComputeUnits
    ) async throws -> (program: CoreMLProgram, milliseconds: Double) {
        let place = try await compiled.compiled(bundle)
        let began = systemNanoseconds()
        let program = try loadProgram(place, bundle.manifest, units)
        let milliseconds = Double(systemNanoseconds() - began) / 1e6
        let key = Self.key(bundle, units)
        if firstLoads[key] == nil { firstLoads[key] = milliseconds }
        return (program, milliseconds)
    }

    private func take(_ frame: CameraFrame) {
        guard let stream else { return }
        do {
            let seen = try withYuvFrame(frame.pixels) {
                try stream.take(
                    $0, at: frame.seconds, rotation: frame.rotation, dropped: frames.dropped,
                    cameraRate: frames.rate)
            }
            unreadable = 0
            guard let seen else { return }
            told.yield(.recognized(seen.figures, ended: seen.ended))
        } catch is PictureError {
            frames.drop()  // the camera's fault, not the model's
            unreadable += 1
            if unreadable % Self.patience == 0 { told.yield(.unreadable) }
        } catch {
            if visible.withLock({ $0 }) { fail(oneLine(error)) }
        }
    }

    /// The program broke down: from now on another one runs.
    private func fail(_ line: String) {
        forget()
        stream = nil
        guard let failed = chosen else { return }
        told.yield(.failed(line))
        let units = failed.candidate.units
        try? memory.end(failed.bundle.manifest.artifact.sha256, units, Trial(failed: line))
        Task { await load(nil, again: false) }
    }

    /// Measures the model in use, or the one that is asked for, and opens it again for frames.
    func measure(_ request: BenchmarkRequest) async {
        forget()
        stream = nil
        var line: String?
        var report: WrittenReport?
        do {
            try begin()
            if let wanted = try asked(request), wanted != chosen?.candidate {
                try await choose(wanted, again: true)
                if let reason = chosen?.fallback { throw ProgramError(reason) }
            }
            report = try await measured(request)
        } catch is Stopped {
            line = "the measurement was stopped: keep the app open until it is done"
        } catch {
            line = oneLine(error)
        }
        do {
            let computes = try await open()
            told.yield(.measured(report, line: line))
            if !computes {
                told.yield(.failed("it does not compute any more"))
                await load(nil, again: false)
            }
        } catch is Stopped {
            told.yield(.measured(report, line: line))
            told.yield(.interrupted)
        } catch {
            told.yield(.impossible(oneLine(error)))
        }
    }

    /// The candidate that a request names; figures of another one would mislead a script.
    private func asked(_ request: BenchmarkRequest) throws -> Candidate? {
        guard let now = chosen else { throw ProgramError("there is no model to measure") }
        guard request.bundle != nil || request.units != nil else { return nil }
        let wanted = Candidate(
            bundle: request.bundle ?? now.candidate.bundle, units: request.units ?? now.candidate.units)
        guard now.choices.contains(wanted) else {
            let names = Set(now.choices.map(\.bundle)).sorted().joined(separator: ", ")
            throw ProgramError("no bundle \(wanted.bundle) can be read; there are \(names)")
        }
        return wanted
    }

    private func measured(_ request: BenchmarkRequest) async throws -> WrittenReport {
        guard let chosen else { throw ProgramError("there is no model to measure") }
        let created = Date()
        let manifest = chosen.bundle.manifest
        let units = chosen.candidate.units
        let probe = await Device()
        let before = probe.footprintBytes()
        let thermal = probe.thermal()
        let cold = firstLoads[Self.key(chosen.bundle, units)]
        let loaded = try await timedLoad(chosen.bundle, units)
        let loading = Loading(
            coldMs: cold ?? loaded.milliseconds, warmMs: cold == nil ? nil : loaded.milliseconds,
            units: units,
            beforeBytes: before, thermal: thermal, fallback: chosen.fallback)
        let frames = try GoldenFrames(chosen.bundle)
        let benchmark = Benchmark<CoreMLProgram>(chosen.bundle, frames, probe: probe, plan: request.plan)
        let told = self.told
        let going = self.going
        let runs = try benchmark.run(loaded.program, loading) { share in
            told.yield(.measuring(share))
            return going.withLock { $0 }
        }
        let place = try await compiled.compiled(chosen.bundle)
        let device = await Device.facts()
        let data = try latencyReport(
            // Reports that are compared need names of their own, those of one device and bundle too.
            name: "\(device.model), \(manifest.name), \(units.rawValue), \(ReportFolder.stamp(created))",
            created: created, device: device, manifest: manifest, frames: frames,
            placement: await anticipatedPlacement(place, units), runs: runs,
            tools: manifest.tools.merging(["app": Device.appVersion, "Core ML": "of \(device.osBuild)"]) {
                $1
            })
        let file = try reports.write(data, bundle: manifest.name, created: created)
        let paced = runs[runs.count - 1].stages.endToEnd
        return WrittenReport(path: file.path, medianMs: paced.p50, p99Ms: paced.p99)
    }

    private func remembered() -> Candidate? {
        notes.get(Self.wanted).flatMap { try? JSONDecoder().decode(Candidate.self, from: Data($0.utf8)) }
    }

    private static func text(_ candidate: Candidate) -> String? {
        (try? JSONEncoder().encode(candidate)).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func key(_ bundle: GestureBundle, _ units: ComputeUnits) -> String {
        "\(bundle.manifest.artifact.sha256) \(units.rawValue)"
    }

    private static let wanted = "wanted"
    private static let patience = 30  // pictures: a second
}
