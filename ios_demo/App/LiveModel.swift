import Foundation
import Observation
import Recognizer
import os

/// Everything between camera, pipeline and screen; one state comes out of it.
///
/// Whatever blocks is done by the pipeline and the camera on queues of their own. The camera is open exactly
/// while `LiveFacts.wantsCamera` holds: each change goes through `settle`.
@MainActor @Observable final class LiveModel {
    /// What the screen shows.
    private(set) var state = UiState.starting(.opening)
    /// Whether the system slows the device down to let it cool.
    private(set) var isHot = false
    /// What of the camera's pictures the model sees.
    private(set) var seen: Seen

    private static let seenKey = "seen"

    @ObservationIgnored private var facts = LiveFacts()
    @ObservationIgnored private var started = false
    @ObservationIgnored private var notices: [String] = []  // about how the app was started
    @ObservationIgnored private var loading = false
    @ObservationIgnored private var queued: BenchmarkRequest?  // asked for, not begun
    @ObservationIgnored private var cameraIsWanted = false
    @ObservationIgnored private var cameraWork: Task<Void, Never>?
    @ObservationIgnored private var heat: (any NSObjectProtocol)?
    @ObservationIgnored private let pipeline: Pipeline
    @ObservationIgnored private let camera: CameraController
    @ObservationIgnored private let log = Logger(subsystem: "action.mobile.app", category: "live")

    init(pipeline: Pipeline, camera: CameraController) {
        self.pipeline = pipeline
        self.camera = camera
        seen = Seen(noted: UserDefaults.standard.string(forKey: Self.seenKey))
    }

    /// Begins to follow camera and pipeline, once: a stream whose reader is cancelled, as a view's task is
    /// when its window goes, never speaks again, so that these tasks belong to no view.
    func start() {
        guard !started else { return }
        started = true
        do {
            queued = try BenchmarkRequest(arguments: ProcessInfo.processInfo.arguments)
        } catch {
            log.error("no report: \(oneLine(error), privacy: .public)")
            notices.append(oneLine(error))  // figures of something else would mislead a script
        }
        watchHeat()
        let pipeline = self.pipeline
        let camera = self.camera
        let seen = self.seen
        Task {
            await pipeline.see(seen)
            await pipeline.consume()
        }
        Task { await follow(camera.events) }
        Task { for await update in pipeline.updates { take(update) } }
        load(nil, again: false)
    }

    /// The app is on the screen, or not any more: then a trial or a measurement ends, since the system slows
    /// down what nobody sees.
    func entered(_ foreground: Bool) async {
        facts.foreground = foreground
        pipeline.entered(foreground)
        if foreground {
            facts.permission = await CameraController.permission(asking: false)
            if facts.trouble == .lost || facts.trouble == .failed { facts.trouble = nil }
            facts.cameraExists = CameraController.exists
            // A trial that was broken off goes on; whatever it was, it is worth another try.
            if facts.model == nil, facts.problem == nil { load(nil, again: false) }
            measureQueued()
        }
        settle()
    }

    /// Asks the person for the camera.
    func allowCamera() async {
        facts.permission = await CameraController.permission(asking: true)
        settle()
    }

    /// Another model; one that failed before is tried once more.
    func choose(_ candidate: Candidate) {
        guard facts.share == nil, !loading else { return }
        load(candidate, again: true)
    }

    /// Another part of the camera's pictures for the model, or their other side, also after a restart.
    func see(_ seen: Seen) {
        self.seen = seen
        UserDefaults.standard.set(seen.noted, forKey: Self.seenKey)
        let pipeline = self.pipeline
        Task { await pipeline.see(seen) }
    }

    /// Once more from the bundle on, or from the camera.
    func retry() {
        facts.trouble = nil
        facts.cameraExists = CameraController.exists
        if facts.problem != nil || facts.model == nil { load(nil, again: true) }
        settle()
    }

    /// Measures as soon as nothing else is under way.
    func benchmark() {
        queued = BenchmarkRequest()
        measureQueued()
    }

    /// Ends a measurement; nothing is written.
    func stop() { pipeline.stop() }

    /// From the report back to the camera.
    func backToCamera() {
        facts.report = nil
        settle()
    }

    private func load(_ wanted: Candidate?, again: Bool) {
        guard !loading else { return }
        loading = true
        facts.model = nil
        facts.report = nil
        facts.figures = nil
        facts.problem = nil
        facts.step = .opening
        settle()
        let pipeline = self.pipeline
        Task { await pipeline.load(wanted, again: again) }
    }

    private func measureQueued() {
        guard let request = queued, facts.foreground, facts.share == nil, !loading, facts.model != nil else {
            return
        }
        queued = nil
        facts.share = 0
        facts.report = nil
        settle()
        let pipeline = self.pipeline
        Task { await pipeline.measure(request) }
    }

    private func take(_ update: Pipeline.Update) {
        switch update {
        case .step(let step): facts.step = step
        case .chosen(let model):
            facts.model = model
            facts.model?.notices += notices
            for notice in model.notices { log.notice("\(notice, privacy: .public)") }
        case .ready:
            loading = false
            measureQueued()
        case .interrupted:
            loading = false
            facts.model = nil  // its stream was not opened
            // Left and entered again while the model's queue was busy: it goes on from here.
            if facts.foreground { load(nil, again: false) }
        case .unreadable: facts.trouble = .failed
        case .failed(let line):
            log.error("the model failed: \(line, privacy: .public)")
            loading = true
            facts.model = nil
            facts.figures = nil
            facts.step = .opening
        case .impossible(let line):
            log.error("no model: \(line, privacy: .public)")
            loading = false
            facts.model = nil
            facts.share = nil
            facts.problem = line
        case .recognized(let figures, let ended):
            if let ended { facts.remember(ended) }
            if let figures, cameraIsWanted { facts.figures = figures }
        case .measuring(let share):
            if facts.share != nil { facts.share = share }
        case .measured(let report, let line):
            facts.share = nil
            facts.report = report
            if let line { facts.model?.notices.append(line) }
            log.notice(
                "\(report.map { "report written: \($0.path)" } ?? "no report: \(line ?? "")", privacy: .public)"
            )
        }
        settle()
    }

    private func watchHeat() {
        readHeat()
        guard heat == nil else { return }
        heat = NotificationCenter.default.addObserver(
            forName: ProcessInfo.thermalStateDidChangeNotification, object: nil, queue: nil
        ) { [weak self] _ in
            Task { @MainActor in self?.readHeat() }
        }
    }

    private func readHeat() {
        let state = ProcessInfo.processInfo.thermalState
        isHot = state == .serious || state == .critical
    }

    private func follow(_ events: AsyncStream<CameraController.Event>) async {
        for await event in events {
            switch event {
            case .trouble(let trouble):
                facts.trouble = trouble
                facts.figures = nil
                let pipeline = self.pipeline
                Task { await pipeline.forget() }  // what it saw is over, though it stays open
            case .over: facts.trouble = nil
            case .missing: facts.cameraExists = false
            }
            settle()
        }
    }

    /// Opens or closes the camera as things are now, and shows them.
    private func settle() {
        if facts.wantsCamera != cameraIsWanted {
            cameraIsWanted = facts.wantsCamera
            facts.figures = nil  // this camera has seen nothing yet
            let wanted = cameraIsWanted
            let camera = self.camera
            let pipeline = self.pipeline
            let before = cameraWork  // one after the other: an opening must not overtake a closing
            cameraWork = Task {
                await before?.value
                if wanted { await camera.open() } else { await camera.close() }
                if !wanted { await pipeline.forget() }
            }
        }
        if facts.state != state { state = facts.state }
    }
}
