import Recognizer
import SwiftUI

/// The one screen: the camera's picture, and a panel on it with what was seen and what runs.
struct LiveView: View {
    let model: LiveModel
    let preview: PreviewSource
    let phase: ScenePhase  // of the whole app: an iPad may show it in two windows

    var body: some View {
        ZStack(alignment: .bottom) {
            if showsCamera {
                CameraPreview(source: preview, seen: model.seen)
                    .ignoresSafeArea()
                    .accessibilityLabel(Text("preview_description"))
                Text(verbatim: Words.left(isMirror: isMirror))
                    .padding()
                    .frame(
                        maxWidth: .infinity, maxHeight: .infinity,
                        alignment: isMirror ? .leading : .trailing)
            }
            Panel(model: model)
        }
        .task { model.start() }
        .task(id: phase) {
            // A phone that is looked at and not touched would fall asleep.
            UIApplication.shared.isIdleTimerDisabled = phase == .active
            await model.entered(phase == .active)
        }
    }

    private var isMirror: Bool { model.seen.isMirror(front: preview.isFront) }

    private var showsCamera: Bool {
        switch model.state {
        case .running, .cameraLost: true
        default: false
        }
    }
}

/// Everything but the picture; it scrolls, since large text may need more than the screen has.
private struct Panel: View {
    let model: LiveModel

    var body: some View {
        ScrollView {
            VStack(alignment: .leading, spacing: 8) {
                Headline(state: model.state)
                if let facts = model.state.model {
                    Text(verbatim: Words.model(facts)).font(.footnote)
                    ForEach(facts.notices, id: \.self) { notice in
                        Text(verbatim: notice).font(.footnote).foregroundStyle(.secondary)
                    }
                }
                if model.isHot { Text("hot").font(.footnote) }
                Buttons(model: model)
                if case .running(_, let figures, let history) = model.state {
                    if let figures {
                        Text(verbatim: Words.figures(figures)).font(.footnote.monospacedDigit())
                    }
                    History(events: history)
                }
            }
            .padding()
            .frame(maxWidth: .infinity, alignment: .leading)
        }
        .frame(maxHeight: 320)
        .background(.regularMaterial)
    }
}

private struct Headline: View {
    let state: UiState

    var body: some View {
        Text(verbatim: Words.headline(state))
            .font(isGesture ? .largeTitle.bold() : .body)
            .accessibilityAddTraits(isGesture ? [.isHeader, .updatesFrequently] : .isHeader)
        switch state {
        case .running(_, let figures?, _):
            Text(verbatim: Words.confidence(figures.confidence)).font(.body.monospacedDigit())
        case .starting: ProgressView()
        case .benchmarking(_, let share): ProgressView(value: share)
        default: EmptyView()
        }
    }

    private var isGesture: Bool {
        if case .running = state { true } else { false }
    }
}

private struct Buttons: View {
    let model: LiveModel
    @Environment(\.openURL) private var openURL

    var body: some View {
        switch model.state {
        case .starting, .noCamera, .running: EmptyView()
        case .bundleProblem, .cameraLost: Button("try_again") { model.retry() }
        case .needsPermission(_, deniedForGood: true):
            Button("open_settings") {
                if let settings = URL(string: UIApplication.openSettingsURLString) { openURL(settings) }
            }
        case .needsPermission: Button("allow_camera") { Task { await model.allowCamera() } }
        case .benchmarking: Button("stop") { model.stop() }
        case .benchmarkDone(_, let report):
            ShareLink(item: URL(filePath: report.path)) { Text("share") }
            Button("back_to_camera") { model.backToCamera() }
        }
        if let facts = model.state.model, !isMeasuring {
            if facts.choices.count > 1 {
                Menu {
                    ForEach(facts.choices, id: \.self) { candidate in
                        Button {
                            model.choose(candidate)
                        } label: {
                            Text(verbatim: Words.choice(candidate))
                        }
                    }
                } label: {
                    Text("choose_model")
                }
            }
            if isRunning {
                Menu {
                    ForEach(Part.allCases, id: \.self) { part in
                        Button {
                            model.see(Seen(mirrored: model.seen.mirrored, part: part))
                        } label: {
                            Text(verbatim: Words.marked(Words.part(part), part == model.seen.part))
                        }
                    }
                    Button {
                        model.see(Seen(mirrored: !model.seen.mirrored, part: model.seen.part))
                    } label: {
                        Text(verbatim: Words.marked(String(localized: "mirrored"), model.seen.mirrored))
                    }
                } label: {
                    Text("seen")
                }
            }
            Button("benchmark") { model.benchmark() }
        }
    }

    private var isRunning: Bool {
        if case .running = model.state { true } else { false }
    }

    private var isMeasuring: Bool {
        if case .benchmarking = model.state { true } else { false }
    }
}

private struct History: View {
    let events: [Event]

    var body: some View {
        Text("history_heading").font(.headline).accessibilityAddTraits(.isHeader)
        if events.isEmpty {
            Text("history_none").font(.body)
        }
        ForEach(events.indices, id: \.self) { index in
            Text(verbatim: Words.event(events[index])).font(.body)
        }
    }
}
