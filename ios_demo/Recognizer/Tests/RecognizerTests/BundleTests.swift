import Foundation
import Testing

@testable import Recognizer

struct BundleTests {
    private let place = TemporaryFolder()

    @Test func aWholeBundleOpens() throws {
        let bundle = try GestureBundle(opening: smallBundle(in: place))
        #expect(try bundle.goldenPixels().count == goldenFrames * 3 * side * side)
        #expect(try bundle.goldenLogits().map(\.count) == [3, 3, 3])
        #expect(bundle.package.lastPathComponent == "model.mlpackage")
    }

    @Test(arguments: [
        ("golden/logits.f32", "golden/logits.f32 has SHA-256"),
        ("model.mlpackage/Data/model", "model.mlpackage has"),
        ("golden/pixels.u8", "golden/pixels.u8 has SHA-256"),
    ])
    func aChangedFileIsNamed(_ file: String, _ reason: String) throws {
        let folder = try smallBundle(in: place)
        var data = try Data(contentsOf: folder.appending(path: file))
        data[0] ^= 1
        try data.write(to: folder.appending(path: file))
        expectRefused(folder, reason)
    }

    @Test func whatIsMissingIsNamed() throws {
        let folder = try smallBundle(in: place)
        try FileManager.default.removeItem(at: folder.appending(path: "golden/pixels.u8"))
        expectRefused(folder, "golden/pixels.u8, which the manifest names, does not exist")
        try FileManager.default.removeItem(at: folder.appending(path: "manifest.json"))
        expectRefused(folder, "small has no manifest.json: copy the whole bundle, or delete it")
        try FileManager.default.createDirectory(
            at: folder.appending(path: "manifest.json"), withIntermediateDirectories: true)
        expectRefused(folder, "manifest.json")
    }

    @Test func aFileTooManyInThePackageIsAnotherPackage() throws {
        let folder = try smallBundle(in: place)
        try Data().write(to: folder.appending(path: "model.mlpackage/Data/other"))
        expectRefused(folder, "model.mlpackage has SHA-256")
    }

    private func expectRefused(_ folder: URL, _ reason: String) {
        do {
            _ = try GestureBundle(opening: folder)
            Issue.record("it was opened")
        } catch {
            #expect(error is BundleError)
            #expect(oneLine(error).contains(reason), "\(error)")
        }
    }

    @Test func theStoreTakesTheLatterOfTwo() throws {
        let documents = TemporaryFolder()
        try smallBundle(in: place, name: "a")
        try smallBundle(in: place, name: "b")
        try smallBundle(in: documents, name: "b", artifact: "another program")
        try smallBundle(in: documents, name: ".hidden")
        try Data("x".utf8).write(to: documents.url.appending(path: "file"))
        try FileManager.default.createDirectory(
            at: documents.url.appending(path: "c"), withIntermediateDirectories: true)
        let found = BundleStore([place.url, documents.url, place.url.appending(path: "none")]).list()
        #expect(found.map(\.name) == ["a", "b", "c"])
        #expect(found[1].folder.path.hasPrefix(documents.url.path))
        #expect(found[2].problem == "c has no manifest.json: copy the whole bundle, or delete it")
    }

    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func sha256AsTheStandardSays(_ text: String, _ wanted: String) {
        // FIPS 180-4's own examples, in one piece and byte by byte.
        var whole = Sha256()
        Array(text.utf8).withUnsafeBytes { whole.update($0) }
        var pieces = Sha256()
        for byte in text.utf8 { withUnsafeBytes(of: byte) { pieces.update($0) } }
        let hex = whole.finish().map { String(format: "%02x", $0) }.joined()
        #expect(hex == wanted)
        #expect(pieces.finish().map { String(format: "%02x", $0) }.joined() == wanted)
    }

    @Test func sha256OfAMillion() {
        var hash = Sha256()
        [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000).withUnsafeBytes { hash.update($0) }
        let hex = hash.finish().map { String(format: "%02x", $0) }.joined()
        #expect(hex == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }
}
