import Foundation
import Testing

@testable import Recognizer

private let rounding = 2e-9  // the vectors have nine decimals
private let floats = 1e-6  // the logits of the vectors have three decimals, those of a program are floats

private func vectors(_ name: String) throws -> Json {
    try json(repository.appending(path: "tests/vectors/\(name)"))
}

/// Ticks and decisions against the answers that every implementation gives.
struct DecisionTests {
    @Test func ticksAnswerAsTheVectorsSay() throws {
        let cases = try vectors("ticks.json")["cases"].items
        #expect(cases.count >= 5)
        for one in cases {
            var ticks = Ticks(rate: one["rate"].number, resetAfterMissed: one["reset_after_missed"].int)
            for (time, answer) in zip(one["times"].items, one["answers"].items) {
                let place = Comment(rawValue: "\(one["name"].text ?? ""), \(time.number)")
                let taken = ticks.frame(at: time.number)
                #expect(taken == answer["take"].truth, place)
                #expect(ticks.missed == answer["missed"].int, place)
                #expect(ticks.reset == answer["reset"].truth, place)
            }
        }
    }

    @Test func decisionsAnswerAsTheVectorsSay() throws {
        let file = try vectors("decision.json")
        let labels = file["labels"].items.compactMap(\.text)
        #expect(file["cases"].items.count >= 5)
        for one in file["cases"].items {
            let rule = one["rule"]
            var decider = Decider(
                Rule(
                    labels: labels, noneLabels: Set(rule["none_labels"].items.compactMap(\.text)),
                    window: rule["window"].int, threshold: rule["threshold"].number, agree: rule["agree"].int,
                    release: rule["release"].int))
            for (step, expected) in zip(one["steps"].items, one["answers"].items) {
                let place = Comment(rawValue: "\(one["name"].text ?? ""), \(step["time"])")
                if step["reset"] != .null {
                    let ended = decider.reset()
                    expectSame(ended, expected["ended"], place)
                    continue
                }
                let logits = step["logits"].items.map { Float($0.number) }
                let answer = decider.update(time: step["time"].number, logits: logits)
                #expect(answer.winner == expected["winner"].text, place)
                #expect(answer.current == expected["current"].text, place)
                #expect(answer.started == expected["started"].text, place)
                #expect(abs(answer.best - expected["confidence"].number) <= rounding + floats, place)
                #expect(abs(decider.probabilities.reduce(0, +) - 1) < 1e-12, place)
                expectSame(answer.ended, expected["ended"], place)
            }
        }
    }

    private func expectSame(_ event: Event?, _ expected: Json, _ place: Comment) {
        #expect(event?.label == expected["label"].text, place)
        guard let event else { return }
        #expect(abs(event.start - expected["start"].number) <= rounding, place)
        #expect(abs(event.end - expected["end"].number) <= rounding, place)
        #expect(abs(event.confidence - expected["confidence"].number) <= rounding + floats, place)
    }

    @Test func timesFarApartAreNoTrap() {
        var ticks = Ticks(rate: 10, resetAfterMissed: 5)
        let taken = [ticks.frame(at: 0), ticks.frame(at: 1e300)]
        #expect(taken == [true, true])
        #expect(ticks.reset)
        #expect(ticks.missed == Int(Int32.max))
    }
}
