import Foundation
import Testing

@testable import Recognizer

struct UiStateTests {
    private let model: ModelFacts
    private let place = TemporaryFolder()

    init() throws {
        let bundle = try GestureBundle(opening: smallBundle(in: place))
        let candidate = Candidate(bundle: "small", units: .cpuOnly)
        model = ModelFacts(
            ChosenModel(
                candidate: candidate, bundle: bundle, why: "because", fallback: "slow", notices: ["odd"],
                choices: [candidate]))
    }

    private func ready() -> LiveFacts {
        var facts = LiveFacts()
        facts.foreground = true
        facts.permission = .granted
        facts.model = model
        return facts
    }

    @Test func oneStateFollowsFromWhatIsKnown() {
        var facts = LiveFacts()
        #expect(facts.state == .starting(.opening))
        #expect(!facts.wantsCamera)
        facts.step = .loading(model.candidate)
        #expect(facts.state == .starting(.loading(model.candidate)))
        facts = ready()
        #expect(facts.state == .running(model, nil, history: []))
        #expect(facts.wantsCamera)
        #expect(model.notices == ["slow", "odd"])
        facts.permission = .deniedForGood
        #expect(facts.state == .needsPermission(model, deniedForGood: true))
        #expect(!facts.wantsCamera)
        facts.cameraExists = false
        #expect(facts.state == .noCamera(model))
        facts.share = 0.5
        #expect(facts.state == .benchmarking(model, share: 0.5))
        facts.problem = "broken"
        #expect(facts.state == .bundleProblem("broken"))
    }

    @Test func theCameraStaysWhenItIsOnlyInterrupted() {
        for (trouble, stays) in [
            (CameraTrouble.inUse, true), (.background, true), (.hot, true), (.lost, false), (.failed, false),
        ] {
            var facts = ready()
            facts.trouble = trouble
            #expect(facts.state == .cameraLost(model, trouble))
            #expect(facts.wantsCamera == stays, "\(trouble)")
        }
        var facts = ready()
        facts.foreground = false
        #expect(!facts.wantsCamera)
    }

    @Test func theLatestGesturesAreKept() {
        var facts = ready()
        for i in 0..<30 { facts.remember(Event(label: "\(i)", start: 0, end: 1, confidence: 1)) }
        #expect(facts.history.count == 20)
        #expect(facts.history.first?.label == "29")
    }

    @Test func aRateOfLately() {
        var meter = RateMeter()
        #expect(meter.rate == 0)
        for i in 0..<200 { meter.add(Double(i) / 30) }
        #expect(abs(meter.rate - 30) < 1e-9)
        meter.add(1000)
        #expect(meter.rate == 0)
        meter.add(999)
        #expect(meter.rate == 0)
    }
}
