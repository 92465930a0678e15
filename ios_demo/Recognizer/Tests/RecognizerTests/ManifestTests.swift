import Foundation
import Testing

@testable import Recognizer

private let mutations = 5_000

struct ManifestTests {
    private let text: String

    init() throws { text = try String(contentsOf: manifestFile, encoding: .utf8) }

    @Test func anExportersManifestIsReadWhole() throws {
        let manifest = try Manifest.parse(Data(text.utf8))
        #expect(manifest.name == "mobilenet_v2-action-stream-coreml-int8")
        #expect(manifest.precision == "int8")
        #expect(manifest.labels.count == 27)
        #expect(manifest.input == InputSpec(name: "frame", size: 112, frameRate: 10))
        #expect(manifest.state.count == 40)
        #expect(manifest.outputs.count == 41)
        #expect(manifest.outputs.allSatisfy { $0.scalar == .float16 })
        #expect(manifest.decision.noneLabels == ["No gesture", "Doing other things"])
        #expect(manifest.interpreted)
        #expect(manifest.golden.logits.shape == [8, 27])
        #expect(manifest.tools["coremltools"] == "9.0")
    }

    @Test(arguments: ["int8", "w8a16", "fp16", "fp32"])
    func everyPrecisionOfTheSchemaIsRead(_ precision: String) throws {
        let changed = text.replacingOccurrences(
            of: "\"precision\": \"int8\"", with: "\"precision\": \"\(precision)\"")
        #expect(try Manifest.parse(Data(changed.utf8)).precision == precision)
        let schema = try json(repository.appending(path: "mobile_export/bundle/manifest.schema.json"))
        let known = schema["properties"]["precision"]["enum"].items.compactMap(\.text)
        #expect(Set(known) == ["int8", "w8a16", "fp16", "fp32"])
    }

    @Test func theSystemThatAPackageNeedsAndTheClassesOfItsLabelsAreRead() throws {
        #expect(try Manifest.parse(Data(text.utf8)).oldestSystem == 17)
        let newer = text.replacingOccurrences(of: "\"iOS17\"", with: "\"iOS26\"")
        #expect(try Manifest.parse(Data(newer.utf8)).oldestSystem == 26)
        let classes = "\"classes\": {\"hand\": [\"Thumb Up\", \"*\"]}, \"labels\":"
        let with = text.replacingOccurrences(of: "\"labels\":", with: classes)
        #expect(try Manifest.parse(Data(with.utf8)).labels.count == 27)
    }

    @Test func whyABundleFailedItsCheckIsRead() throws {
        let with = "\"failures\": [\"it is off\"], \"max_drop\":"
        let failed = text.replacingOccurrences(of: "\"max_drop\":", with: with)
        #expect(failed != text)
        #expect(try Manifest.parse(Data(failed.utf8)).labels.count == 27)
    }

    @Test(arguments: [
        ("\"schema\": 3", "\"schema\": 4", "schema 4"),
        ("\"form\": \"stream\"", "\"form\": \"clip\"", "export with --form stream"),
        ("\"target\": \"coreml\"", "\"target\": \"xnnpack\"", "export with --target coreml"),
        ("\"kind\": \"image\"", "\"kind\": \"tensor\"", "an input that is a tensor"),
        ("\"where\": \"in the graph\"", "\"where\": \"caller\"", "$.input.normalisation.where"),
        ("\"dtype\": \"float16\"", "\"dtype\": \"int32\"", "has to be float16 or float32"),
        ("\"name\": \"mobile", "\"surplus\": 1, \"name\": \"mobile", "has \"surplus\""),
        ("\"threshold\": 0.8", "\"threshold\": 1.5", "$.decision.threshold is 1.5"),
        ("\"threshold\": 0.8", "\"threshold\": true", "$.decision.threshold is no number"),
        ("\"iOS17\"", "\"macOS\"", "$.lowering.deployment_target is no system"),
        ("\"agree\": 4", "\"agree\": 2.5", "no whole number"),
        ("\"Drumming Fingers\"", "\"No gesture\"", "$.labels has a label twice"),
        ("\"file\": \"model.mlpackage\"", "\"file\": \"../model.mlpackage\"", "no plain name"),
        ("\"output\": \"state_3_shift_out\"", "\"output\": \"other\"", "$.state does not match the outputs"),
        ("\"threshold\": 0.8", "\"threshold\": NaN", "not valid JSON"),
        ("\"frame_rate\": 10.0\n", "\"frame_rates\": 10.0\n", "$.input has no frame_rate"),
    ])
    func whatCannotBeUsedIsRefusedWithTheReason(_ old: String, _ new: String, _ reason: String) throws {
        let parts = text.components(separatedBy: old)
        try #require(parts.count > 1, "\(old) is not in the manifest")
        // The last place of a rate is the input's; of all others the first one is meant.
        let at = old.contains("frame_rate") ? parts.count - 1 : 1
        let changed = parts[..<at].joined(separator: old) + new + parts[at...].joined(separator: old)
        do {
            _ = try Manifest.parse(Data(changed.utf8))
            Issue.record("\(new) was read")
        } catch {
            #expect(error is BundleError)
            #expect(oneLine(error).contains(reason), "\(error)")
            #expect(!"\(error)".contains("\n"))
        }
    }

    @Test func aMutatedManifestIsReadOrRefusedNothingElse() throws {
        var random = Random(state: 5)
        var read = 0
        for _ in 0..<mutations {
            do {
                _ = try Manifest.parse(Data(mutated(&random)))
                read += 1
            } catch let error as BundleError {
                #expect(!error.description.contains { $0.isNewline }, "\(error)")
                #expect(error.description.count < 400, "\(error)")
            }
        }
        #expect((1..<(mutations / 2)).contains(read), "\(read) of \(mutations) were read")
    }

    /// The manifest's bytes with up to three pieces removed, repeated, replaced or cut off.
    private func mutated(_ random: inout Random) -> [UInt8] {
        var bytes = Array(text.utf8)
        for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, at + Int.random(in: 1...60, using: &random))
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes.removeSubrange(at..<end)
            case 1: bytes.insert(contentsOf: bytes[at..<end], at: at)
            case 2: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 3: bytes.replaceSubrange(at..<(at + 1), with: tokens.randomElement(using: &random)!.utf8)
            case 4: bytes.removeSubrange(at...)
            default: replaceNumber(in: &bytes, from: at, &random)
            }
        }
        return bytes
    }

    private func replaceNumber(in bytes: inout [UInt8], from: Int, _ random: inout Random) {
        let digits = Set("0123456789.-eE".utf8)
        guard let at = bytes[from...].firstIndex(where: { $0 >= 48 && $0 <= 57 }) else { return }
        let end = bytes[at...].firstIndex { !digits.contains($0) } ?? bytes.count
        bytes.replaceSubrange(at..<end, with: tokens.randomElement(using: &random)!.utf8)
    }

    @Test func deepLongAndOddTextsAreRefused() throws {
        for bad in [
            "", " ", String(repeating: "[", count: 100_000), String(repeating: "{\"a\":", count: 5_000),
            String(repeating: "1", count: 100_000), String(repeating: "x", count: 5_000_000), "[1e999]",
            "\"\\u12\"",
            "\"\\x\"", "[1,,]", "[1,]", "[01]", "+1", ".5", "1.", "{\"a\": 1, \"a\": 2}", "\"\\ud800\"",
            "\u{FEFF}{}", "{\"a\" 1}", "nul", "[] []", "\"open", "[]", "null", "{}", "{\"schema\": \"2\"}",
        ] {
            do {
                _ = try Manifest.parse(Data(bad.utf8))
                Issue.record("\(bad.prefix(20)) was read")
            } catch { #expect(error is BundleError) }
        }
    }

    @Test func escapesAreRead() throws {
        let text = "\"\\u00e9\\\"\\\\\\n\\/\\u0001\\ud83d\\ude00😀\""
        #expect(try Json.parse(Data(text.utf8)) == .text("é\"\\\n/\u{1}😀😀"))
        #expect(throws: BundleError.self) {
            try Json.parse(Data([0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D]))
        }
    }

    @Test func whatIsWrittenCanBeRead() throws {
        let value = Json.object([
            "a": .list([.number(1), .number(2.5), .truth(true), .null]), "c": .text("\"é\\\u{1}\n😀/"),
            "f": .number(1e-7),
        ])
        #expect(try Json.parse(value.written()) == value)
        #expect(throws: (any Error).self) { try Json.number(.nan).written() }
    }
}

private let tokens = [
    "null", "-1", "0", "1e308", "1e-308", "2147483648", "0.5", "\"\"", "[]", "{}", "true", "\"\\ud800\"",
    "[[[[", "}",
    "1e999", String(repeating: "9", count: 70), "\"stream\"", "2048", "[0,1,2,3]", "-0", "\u{2028}", "\n",
    ":", ",",
]

/// A small generator: the same mutations every time.
struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
