import Foundation
import Testing

@testable import Recognizer

private final class MemoryNotes: Notebook {
    var texts: [String: String] = [:]

    func get(_ key: String) -> String? { texts[key] }
    func put(_ key: String, _ value: String?) { texts[key] = value }
}

struct ModelChoiceTests {
    private let place = TemporaryFolder()
    private let notes = MemoryNotes()
    private var memory: TrialMemory { TrialMemory(notes, surroundings: "iPhone16,1 21A329") }
    private var store: BundleStore { BundleStore([place.url]) }

    init() throws {
        try smallBundle(in: place, name: "fp16", artifact: "half")
        try smallBundle(in: place, name: "int8", artifact: "quarter")
    }

    private func candidate(_ name: String, _ units: ComputeUnits) -> Candidate {
        Candidate(bundle: name, units: units)
    }

    /// Runs all trials with these answers; what was tried, in order.
    private func settle(_ choice: inout ModelChoice, _ answer: (Candidate) -> Trial) throws -> [Candidate] {
        var tried: [Candidate] = []
        while let next = choice.next() {
            tried.append(next)
            try choice.begin(next)
            try choice.record(next, answer(next))
        }
        return tried
    }

    @Test func aPackageForANewerSystemIsNone() throws {
        #expect {
            _ = try ModelChoice(store.list(), memory, wanted: nil, again: false, system: 16)
        } throws: {
            oneLine($0).contains("needs iOS 17, this is iOS 16")
        }
    }

    @Test func theFastestThatGivesItsGoldenClipRuns() throws {
        var choice = try ModelChoice(store.list(), memory, wanted: nil, again: false)
        #expect(choice.left == 6)
        let tried = try settle(&choice) { one in
            // W8A8 on a phone whose Neural Engine does not take it, and a GPU that miscomputes.
            if one.units == .cpuAndGPU { return Trial(failed: "off") }
            return Trial(medianMs: one == candidate("fp16", .cpuAndNeuralEngine) ? 2 : 233, deviation: 0.01)
        }
        #expect(tried.count == 6)
        #expect(tried.prefix(2).allSatisfy { $0.units == .cpuAndNeuralEngine })
        let chosen = try choice.result()
        #expect(chosen.candidate == candidate("fp16", .cpuAndNeuralEngine))
        #expect(chosen.why == "fastest of 4 that gave their golden clip here, 2.00 ms a frame")
        #expect(chosen.fallback == nil)
        #expect(chosen.notices.count == 2)
        // Remembered: nothing is tried again, until the system is another one.
        let again = try ModelChoice(store.list(), memory, wanted: nil, again: false)
        #expect(again.next() == nil)
        #expect(try again.result().candidate == chosen.candidate)
        let updated = TrialMemory(notes, surroundings: "iPhone16,1 21B1")
        #expect(try ModelChoice(store.list(), updated, wanted: nil, again: false).left == 6)
    }

    @Test func aPersonCanChoose() throws {
        let wanted = candidate("int8", .cpuOnly)
        var choice = try ModelChoice(store.list(), memory, wanted: wanted, again: true)
        #expect(try settle(&choice) { _ in Trial(medianMs: 9, deviation: 0) } == [wanted])
        #expect(try choice.result().candidate == wanted)
        #expect(try choice.result().why == "chosen by you, 9.00 ms here")
    }

    @Test func whatDoesNotComputeTheSameGivesWay() throws {
        let wanted = candidate("int8", .cpuAndNeuralEngine)
        var choice = try ModelChoice(store.list(), memory, wanted: wanted, again: false)
        _ = try settle(&choice) {
            $0 == wanted ? Trial(failed: "it is off") : Trial(medianMs: 5, deviation: 0)
        }
        let chosen = try choice.result()
        #expect(chosen.candidate == candidate("fp16", .cpuAndNeuralEngine))
        #expect(chosen.fallback == "int8 on cpuAndNeuralEngine is not used: it is off")
        // Asked for again by a person it is tried again, by itself it is not.
        #expect(try ModelChoice(store.list(), memory, wanted: wanted, again: false).next() == nil)
        #expect(try ModelChoice(store.list(), memory, wanted: wanted, again: true).next() == wanted)
    }

    @Test func whereEverythingFailedAPersonCanHaveItAllTriedAgain() throws {
        var choice = try ModelChoice(store.list(), memory, wanted: nil, again: false)
        _ = try settle(&choice) { _ in Trial(failed: "no space left") }
        #expect(throws: BundleError.self) { try choice.result() }
        #expect(try ModelChoice(store.list(), memory, wanted: nil, again: false).next() == nil)
        #expect(try ModelChoice(store.list(), memory, wanted: nil, again: true).left == 6)
    }

    @Test func aModelThatKilledTheProcessIsNotTriedAgain() throws {
        let choice = try ModelChoice(store.list(), memory, wanted: nil, again: false)
        let first = try #require(choice.next())
        try choice.begin(first)
        // The process ends here; the next start finds the mark.
        var next = try ModelChoice(store.list(), memory, wanted: nil, again: false)
        let tried = try settle(&next) { _ in Trial(medianMs: 5, deviation: 0) }
        #expect(!tried.contains(first))
        #expect(
            try next.result().notices == [
                "fp16 on cpuAndNeuralEngine is not used: the app ended while it was tried"
            ])
    }

    @Test func aLoadThatKilledTheProcessCountsAgainstTheModel() throws {
        var choice = try ModelChoice(store.list(), memory, wanted: nil, again: false)
        _ = try settle(&choice) { Trial(medianMs: $0.units == .cpuOnly ? 9 : 1, deviation: 0) }
        let chosen = try choice.result()
        try memory.load(chosen.bundle.manifest.artifact.sha256, chosen.candidate.units)
        try memory.settle()
        let next = try ModelChoice(store.list(), memory, wanted: nil, again: false).result()
        #expect(next.candidate != chosen.candidate)
        #expect(next.notices.first?.contains("the app ended while it was loaded") == true)
        // One that was loaded leaves no mark.
        try memory.load(next.bundle.manifest.artifact.sha256, next.candidate.units)
        try memory.loaded()
        try memory.settle()
        #expect(
            try ModelChoice(store.list(), memory, wanted: nil, again: false).result().candidate
                == next.candidate)
    }

    @Test func aTrialThatWasBrokenOffIsAsIfItHadNotBegun() throws {
        let choice = try ModelChoice(store.list(), memory, wanted: nil, again: false)
        let first = try #require(choice.next())
        try choice.begin(first)
        try choice.abandon(first)
        #expect(try ModelChoice(store.list(), memory, wanted: nil, again: false).next() == first)
    }

    @Test func withoutAnyModelTheReasonsAreOneLine() throws {
        var choice = try ModelChoice(store.list(), memory, wanted: nil, again: false)
        _ = try settle(&choice) { _ in Trial(failed: "it is off") }
        do {
            _ = try choice.result()
            Issue.record("there is none")
        } catch {
            #expect(
                oneLine(error).hasPrefix(
                    "no bundle can be used here: fp16 on cpuAndNeuralEngine: it is off; "))
        }
        let empty = TemporaryFolder()
        #expect(throws: BundleError.self) {
            try ModelChoice(BundleStore([empty.url]).list(), memory, wanted: nil, again: false)
        }
    }

    @Test func aBundleThatIsGoneIsSaid() throws {
        try Data("x".utf8).write(to: place.url.appending(path: "int8/golden/logits.f32"))
        var choice = try ModelChoice(store.list(), memory, wanted: candidate("old", .cpuOnly), again: false)
        _ = try settle(&choice) { _ in Trial(medianMs: 1, deviation: 0) }
        let chosen = try choice.result()
        #expect(chosen.candidate.bundle == "fp16")
        #expect(chosen.notices[0].hasPrefix("bundle int8: golden/logits.f32 has 1 bytes"))
        #expect(chosen.notices[1] == "there is no bundle old; there are fp16")
    }

    @Test func notesOutliveTheProcess() throws {
        let file = place.url.appending(path: "notes/notes.json")
        try FileNotebook(file).put("a", "b")
        #expect(FileNotebook(file).get("a") == "b")
        try FileNotebook(file).put("a", nil)
        #expect(FileNotebook(file).get("a") == nil)
        try Data("{".utf8).write(to: file)
        #expect(FileNotebook(file).get("a") == nil)
    }
}
