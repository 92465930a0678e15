import Foundation
import Testing

@testable import Recognizer

private let frames = 100_000
private let parts = 5  // of them, measured one by one
private let growth = 40  // bytes a frame; less than any object that is kept, more than the allocator's own

/// Bytes that this process holds.
private func residentBytes() throws -> Int {
    let text = try String(contentsOf: URL(filePath: "/proc/self/statm"), encoding: .utf8)
    return Int(text.split(separator: " ")[1])! * 4096
}

struct RecognizerTests {
    private let place = TemporaryFolder()
    private let bundle: GestureBundle

    init() throws { bundle = try GestureBundle(opening: smallBundle(in: place)) }

    private func grey(_ luma: Int) -> Picture { picture(2 * side, side) { _, _ in luma } }

    private func fill(_ program: CountingProgram, _ value: UInt8) throws {
        try program.picture { $0.fill([UInt8](repeating: value, count: 3 * side * side), from: 0) }
    }

    @Test func whatComesOutGoesInAgain() throws {
        let program = CountingProgram()
        let session = try StreamSession(bundle.manifest, program)
        try fill(program, 255)
        var seen: [[Float]] = []
        for _ in 0..<3 {
            try session.step()
            seen.append(session.logits)
        }
        #expect(seen == [[1, 4, 0], [1, 3, 0.01], [1, 3, 0.02]])
        session.reset()
        try session.step()
        #expect(session.logits == [1, 4, 0])
        #expect(program.counts == [0, 1, 2, 0])
    }

    @Test func aCallThatFailsLeavesTheStateAsItWas() throws {
        let program = CountingProgram()
        let session = try StreamSession(bundle.manifest, program)
        try fill(program, 255)
        try session.step()
        program.broken = true
        #expect(throws: ProgramError.self) { try session.step() }
        program.broken = false
        try session.step()
        #expect(session.logits == [1, 3, 0.01])
    }

    @Test func framesBetweenTicksArePassedOverGapsCountedLongOnesReset() throws {
        let program = CountingProgram()
        let recognizer = try Recognizer(bundle.manifest, program)
        let bright = grey(255)
        func offer(_ tick: Double) throws -> Moment? {
            try bright.frame { try recognizer.offer($0, at: tick / 10, rotation: 0) }
        }
        let taken = try (0..<30).filter { try offer(Double($0) / 3) != nil }.count
        #expect(taken == 10)
        #expect(try offer(10)?.answer.current == "Left")
        let late = try #require(try offer(13))
        #expect(late.missed == 2 && late.ended == nil)
        let after = try #require(try offer(30))
        #expect(after.reset && after.missed == 16)
        #expect(program.counts.last == 0)  // the state began anew
        #expect(after.ended?.label == "Left")
        #expect(after.ended?.start == 0 && after.ended?.end == 1.3)
        let back = try #require(try offer(0))
        #expect(back.reset)
        let counts: [Int] = [recognizer.taken, recognizer.missed, recognizer.resets]
        #expect(counts == [14, 18, 2])
    }

    @Test func anEventEndsWhenItsLabelStopsWinning() throws {
        let recognizer = try Recognizer(bundle.manifest, CountingProgram())
        var started: [String] = []
        var ended: [Event] = []
        for i in 0..<12 {
            let moment = try grey(i < 6 ? 255 : 0).frame {
                try recognizer.offer($0, at: Double(i) / 10, rotation: 90, mirrored: true)
            }
            if let label = moment?.answer.started { started.append(label) }
            if let event = moment?.ended { ended.append(event) }
        }
        #expect(started.first == "Left")
        #expect(ended.map(\.label) == ["Left"])
        #expect(ended.first?.start == 0)
    }

    @Test func stagesAddUp() throws {
        var now = 0
        let recognizer = try Recognizer(bundle.manifest, CountingProgram()) {
            now += 7
            return now
        }
        let moment = try grey(9).frame { try recognizer.offer($0, at: 0, rotation: 0) }
        #expect(moment?.times == StageTimes(preprocess: 7, execute: 7, postprocess: 7))
        #expect(moment?.times.total == 21)
    }

    @Test func theGoldenClipDecides() throws {
        let program = CountingProgram()
        #expect(try selfCheck(bundle, program).passed)
        // A program whose first state never comes back is found out.
        let forgetful = ForgetfulProgram()
        let result = try selfCheck(bundle, forgetful)
        #expect(!result.passed)
        #expect(result.reason?.contains("of the largest logit from the golden clip") == true)
        program.broken = true
        #expect(try selfCheck(bundle, program).reason?.contains("not finite") == true)
    }

    @Test func figuresOfAStream() throws {
        let stream = LiveStream(try Recognizer(bundle.manifest, CountingProgram()))
        let bright = grey(255)
        func take(_ seconds: Double, _ rotation: Int = 0) throws -> (figures: Figures, ended: Event?)? {
            try bright.frame {
                try stream.take($0, at: seconds, rotation: rotation, dropped: 4, cameraRate: 30)
            }
        }
        var last: Figures?
        for i in 0..<60 {
            let seen = try take(Double(i) / 30)
            last = seen?.figures ?? last
        }
        let figures = try #require(last)
        #expect(figures.gesture == "Left")
        #expect(figures.cameraRate == 30 && abs(figures.recognizedRate - 10) < 0.01)
        #expect(figures.dropped == 4 && figures.missed == 0)
        #expect(figures.medians != nil)
        // Another part of the picture is another recording.
        stream.seen = Seen(mirrored: true, part: .left)
        let cut = try take(2)
        #expect(cut?.ended?.label == "Left" && cut?.figures.gesture == nil)
        #expect(stream.forget() == nil)
        // So is what a turned device sees, and what comes after a pause, which is no missed ticks.
        stream.seen = Seen()
        for i in 0..<10 { last = try take(60 + Double(i) / 10)?.figures }
        #expect(last?.gesture == "Left" && last?.missed == 0 && last?.resets == 0)
        let turned = try take(61, 90)
        #expect(turned?.ended?.label == "Left" && turned?.figures.gesture == nil)
        #expect(turned?.figures.dropped == 4 && turned?.figures.recognizedRate ?? 0 > 9)
    }

    #if os(Linux)
        @Test func aHundredThousandFramesDoNotGrow() throws {
            let recognizer = try Recognizer(bundle.manifest, CountingProgram())
            var recorder = LatencyRecorder(capacity: 200)
            let pictures = [grey(255), grey(0)]
            var events = 0
            func run(_ range: Range<Int>) throws {
                for i in range {
                    let moment = try pictures[i / 20 % 2].frame {
                        try recognizer.offer($0, at: Double(i) / 10, rotation: 0)
                    }
                    recorder.add(try #require(moment).times)
                    if moment?.ended != nil { events += 1 }
                }
            }
            // Other tests of this process, if any run beside it, take memory in some parts; a leak would in all.
            let part = frames / parts
            try run(0..<part)
            var grown: [Int] = []
            for i in 1...parts {
                let before = try residentBytes()
                try run((i * part)..<((i + 1) * part))
                grown.append(try residentBytes() - before)
            }
            print("\(frames) frames through a recognizer: \(grown) bytes more, \(events) events")
            #expect(events > 1000)
            #expect(recorder.count == 200)
            #expect(grown.sorted()[parts / 2] < growth * part)
        }
    #endif
}

/// Loses its count: state a comes out as it went in, so that every frame seems the first.
private final class ForgetfulProgram: Program {
    private let inner = CountingProgram()
    let name = "forgetful"

    func picture(_ fill: (BgraTarget) throws -> Void) throws { try inner.picture(fill) }
    func zeros(_ tensor: TensorSpec) throws -> [Float] { try inner.zeros(tensor) }
    func run(_ states: [String: [Float]]) throws -> [String: [Float]] {
        try inner.run(states.mapValues { [Float](repeating: 0, count: $0.count) })
    }
    func read(_ value: [Float], into logits: inout [Float]) throws { try inner.read(value, into: &logits) }
}
