import Foundation
import Recognizer

/// The words on the screen, from the one catalogue; their keys are those of the Android demo.
enum Words {
    static func headline(_ state: UiState) -> String {
        switch state {
        case .starting(.opening): String(localized: "starting")
        case .starting(.trying(let candidate, let number, let all)):
            format(String(localized: "trying"), candidate.bundle, units(candidate.units), number, all)
        case .starting(.loading(let candidate)): format(String(localized: "loading"), units(candidate.units))
        case .bundleProblem(let line): line
        case .needsPermission(_, deniedForGood: true): String(localized: "denied_for_good")
        case .needsPermission: String(localized: "needs_permission")
        case .noCamera: String(localized: "no_camera")
        case .cameraLost(_, let trouble): camera(trouble)
        case .running(_, let figures, _): figures?.gesture ?? String(localized: "no_gesture")
        case .benchmarking: String(localized: "measuring")
        case .benchmarkDone(_, let report):
            format(String(localized: "measured"), report.medianMs, report.p99Ms, report.path)
        }
    }

    static func model(_ model: ModelFacts) -> String {
        format(String(localized: "model"), model.name, units(model.candidate.units), model.why)
    }

    static func choice(_ candidate: Candidate) -> String {
        format(String(localized: "choice"), units(candidate.units), candidate.bundle)
    }

    static func confidence(_ share: Double) -> String {
        format(String(localized: "confidence"), percent(share))
    }

    static func figures(_ now: Figures) -> String {
        var lines = [
            format(String(localized: "rates"), now.cameraRate, now.recognizedRate),
            format(String(localized: "losses"), now.dropped, now.missed, now.resets),
        ]
        if let medians = now.medians {
            lines.append(
                format(
                    String(localized: "latency"), medians.endToEnd, medians.preprocess, medians.execute,
                    medians.postprocess))
        }
        return lines.joined(separator: "\n")
    }

    static func event(_ event: Event) -> String {
        format(
            String(localized: "history_line"), event.label, percent(event.confidence), event.end - event.start
        )
    }

    /// Which side is the person's left: in a picture that is no mirror, it is on the right.
    static func left(isMirror: Bool) -> String {
        isMirror ? String(localized: "left_here") : String(localized: "left_there")
    }

    static func part(_ part: Part) -> String {
        switch part {
        case .middle: String(localized: "part_middle")
        case .left: String(localized: "part_left")
        case .right: String(localized: "part_right")
        }
    }

    /// An entry of a menu, with a sign before what is chosen.
    static func marked(_ text: String, _ chosen: Bool) -> String { chosen ? "\u{2713} \(text)" : text }

    static func units(_ units: ComputeUnits) -> String {
        switch units {
        case .cpuAndNeuralEngine: String(localized: "neural_engine")
        case .cpuAndGPU: String(localized: "gpu")
        case .cpuOnly: String(localized: "cpu")
        }
    }

    private static func camera(_ trouble: CameraTrouble) -> String {
        switch trouble {
        case .inUse: String(localized: "camera_in_use")
        case .background: String(localized: "camera_background")
        case .hot: String(localized: "camera_hot")
        case .lost: String(localized: "camera_lost")
        case .failed: String(localized: "camera_failed")
        }
    }

    private static func percent(_ share: Double) -> Int { Int((100 * share).rounded()) }

    private static func format(_ text: String, _ values: any CVarArg...) -> String {
        String(format: text, locale: .current, arguments: values)
    }
}
