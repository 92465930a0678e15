import Foundation
import Testing

@testable import Recognizer

/// The repository's root, of which vectors and schemas are read.
let repository = URL(
    filePath: ProcessInfo.processInfo.environment["REPOSITORY"] ?? fromHere("../../../..").path)

func fromHere(_ path: String) -> URL {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: path).standardizedFileURL
}

func json(_ url: URL) throws -> Json { try Json.parse(Data(contentsOf: url)) }

extension Json {
    subscript(name: String) -> Json {
        guard case .object(let members) = self else { return .null }
        return members[name] ?? .null
    }
    var items: [Json] {
        if case .list(let items) = self { items } else { [] }
    }
    var text: String? {
        if case .text(let text) = self { text } else { nil }
    }
    var number: Double {
        if case .number(let number) = self { number } else { .nan }
    }
    var truth: Bool { self == .truth(true) }
    var int: Int { Int(number) }

    /// This object with other members.
    func with(_ changed: [String: Json]) -> Json {
        guard case .object(let members) = self else { return self }
        return .object(members.merging(changed) { $1 })
    }
}

/// A folder that goes away with this object.
final class TemporaryFolder: Sendable {
    let url: URL

    init() {
        url = FileManager.default.temporaryDirectory.appending(path: "recognizer-\(UUID().uuidString)")
        try? FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }
}

/// An exporter's manifest of a Core ML bundle.
let manifestFile = fromHere("../Fixtures/manifest.json")

let side = 8  // pixels of the small bundle's input
let goldenFrames = 3
let smallLabels = ["No gesture", "Left", "Right"]

/// A program of arithmetic: state a counts frames, state b keeps the mean of the last one; logits tell both.
final class CountingProgram: Program {
    typealias Value = [Float]
    var name = "fake"
    var counts: [Float] = []  // that came in
    var broken = false
    private var bytes = [UInt8](repeating: 0, count: side * (4 * side + 12))

    func picture(_ fill: (BgraTarget) throws -> Void) throws {
        try bytes.withUnsafeMutableBytes {
            try fill(BgraTarget(bytes: $0, size: side, rowStride: 4 * side + 12))
        }
    }

    func zeros(_ tensor: TensorSpec) throws -> [Float] { [Float](repeating: 0, count: tensor.size) }

    func run(_ states: [String: [Float]]) throws -> [String: [Float]] {
        let count = states["a_in"]![0]
        let kept = states["b_in"]!
        var sum: Float = 0
        for row in 0..<side {
            for column in 0..<side {
                for colour in 0..<3 {
                    sum += Float(bytes[row * (4 * side + 12) + 4 * column + colour]) / 127.5 - 1
                }
            }
        }
        let mean = sum / Float(3 * side * side)
        if counts.count < 100 { counts.append(count) }
        let logits = [mean, broken ? .infinity : 4 * mean - kept[0], min(count, 10) / 100]
        return ["logits": logits, "b_out": [Float](repeating: mean, count: kept.count), "a_out": [count + 1]]
    }

    func read(_ value: [Float], into logits: inout [Float]) throws {
        for i in logits.indices { logits[i] = value[i] }
    }
}

/// A small bundle for `CountingProgram` with a golden clip that it answers rightly, in a folder of `place`.
@discardableResult
func smallBundle(
    in place: TemporaryFolder, name: String = "small", artifact: String = "a program",
    change: [String: Json] = [:]
) throws -> URL {
    let pixels = (0..<(goldenFrames * 3 * side * side)).map { UInt8($0 * 37 % 251) }
    var logits = Data()
    var last: Float = 0
    for frame in 0..<goldenFrames {
        let one = pixels[(frame * 3 * side * side)..<((frame + 1) * 3 * side * side)]
        let mean = one.reduce(Float(0)) { $0 + (Float($1) / 127.5 - 1) } / Float(3 * side * side)
        for value in [mean, 4 * mean - last, Float(frame) / 100] {
            withUnsafeBytes(of: value.bitPattern.littleEndian) { logits.append(contentsOf: $0) }
        }
        last = mean
    }
    let files: [String: Data] = [
        "model.mlpackage/Manifest.json": Data("{}".utf8), "model.mlpackage/Data/model": Data(artifact.utf8),
        "golden/pixels.u8": Data(pixels), "golden/inputs.f32": Data(count: 4 * pixels.count),
        "golden/logits.f32": logits,
    ]
    let manifest = try smallManifest(files).with(change)
    let folder = place.url.appending(path: name)
    for (file, data) in files.merging(["manifest.json": try manifest.written()], uniquingKeysWith: { $1 }) {
        let url = folder.appending(path: file)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try data.write(to: url)
    }
    return folder
}

func smallManifest(_ files: [String: Data]) throws -> Json {
    let manifest = try json(manifestFile)
    func sha256(_ data: Data) -> String {
        var digest = Digest()
        digest.update(data)
        return digest.finish()
    }
    func tensor(_ shape: [Int]) -> Json {
        .object([
            "shape": .list(shape.map(Json.whole)), "dim_order": .list(shape.indices.map(Json.whole)),
            "dtype": .text("float16"),
        ])
    }
    func file(_ part: String, _ name: String, _ shape: [Int]) -> Json {
        let data = files[name]!
        return manifest["golden"]["files"][part].with([
            "shape": .list(shape.map(Json.whole)), "bytes_a_frame": .whole(data.count / goldenFrames),
            "sha256": .text(sha256(data)),
        ])
    }
    let model = files["model.mlpackage/Data/model"]!
    let other = files["model.mlpackage/Manifest.json"]!
    let a = tensor([1, 1])
    let b = tensor([1, 2, 2])
    return manifest.with([
        "labels": .list(smallLabels.map(Json.text)),
        "artifact": .object([
            "file": .text("model.mlpackage"), "bytes": .whole(model.count + other.count),
            "sha256": .text(sha256(Data("Data/model\0".utf8) + model + Data("Manifest.json\0".utf8) + other)),
        ]),
        "input": manifest["input"].with([
            "shape": .list([1, 3, side, side].map(Json.whole)),
            "resize": .object(["short_side": .whole(side), "crop": .text("centre"), "size": .whole(side)]),
        ]),
        "outputs": .list([
            tensor([1, smallLabels.count]).with(["name": .text("logits")]), b.with(["name": .text("b_out")]),
            a.with(["name": .text("a_out")]),
        ]),
        "state": .list([
            a.with(["input": .text("a_in"), "output": .text("a_out")]),
            b.with(["input": .text("b_in"), "output": .text("b_out")]),
        ]),
        "decision": manifest["decision"].with([
            "none_labels": .list([.text("No gesture")]), "window": .number(2), "threshold": .number(0.5),
            "agree": .number(2), "release": .number(2),
        ]),
        "golden": manifest["golden"].with([
            "frames": .whole(goldenFrames), "tolerance": .number(0.05),
            "files": .object([
                "inputs": file("inputs", "golden/inputs.f32", [goldenFrames, 3, side, side]),
                "pixels": file("pixels", "golden/pixels.u8", [goldenFrames, 3, side, side]),
                "logits": file("logits", "golden/logits.f32", [goldenFrames, smallLabels.count]),
            ]),
        ]),
    ])
}

/// How the planes of a picture lie in memory.
enum Layout: CaseIterable { case i420, padded, nv12, nv21 }

/// A picture with memory of its own, laid out as a camera might.
final class Picture {
    let width: Int
    let height: Int
    private let memory: [UInt8]
    private let places: [(from: Int, to: Int, stride: Int, step: Int)]

    /// `data` is I420 from `at` on.
    init(_ data: [UInt8], at: Int = 0, width: Int, height: Int, layout: Layout) {
        self.width = width
        self.height = height
        let columns = (width + 1) / 2
        let rows = (height + 1) / 2
        let u = at + width * height
        let v = u + columns * rows
        var memory: [UInt8] = []
        var places: [(Int, Int, Int, Int)] = []
        let padding = [.i420: 0, .padded: 13, .nv12: 0, .nv21: 7][layout]!
        /// A plane whose last row ends with its last value.
        func plane(_ from: Int, _ columns: Int, _ rows: Int) {
            let start = memory.count
            for row in 0..<rows {
                memory += data[(from + row * columns)..<(from + (row + 1) * columns)]
                if row < rows - 1 { memory += [UInt8](repeating: 9, count: padding) }
            }
            places.append((start, memory.count, columns + padding, 1))
        }
        plane(at, width, height)
        if layout == .i420 || layout == .padded {
            plane(u, columns, rows)
            plane(v, columns, rows)
        } else {
            let start = memory.count
            for row in 0..<rows {
                for column in 0..<columns {
                    let pair = [data[u + row * columns + column], data[v + row * columns + column]]
                    memory += layout == .nv12 ? pair : pair.reversed()
                }
                if row < rows - 1 { memory += [UInt8](repeating: 9, count: padding) }
            }
            let first = (start, memory.count - 1, 2 * columns + padding, 2)
            let second = (start + 1, memory.count, 2 * columns + padding, 2)
            places += layout == .nv12 ? [first, second] : [second, first]
        }
        self.memory = memory
        self.places = places
    }

    func frame<R>(_ crop: Crop? = nil, _ body: (YuvFrame) throws -> R) throws -> R {
        try memory.withUnsafeBytes { raw in
            let planes = places.map { place in
                Plane(
                    bytes: UnsafeRawBufferPointer(rebasing: raw[place.from..<place.to]),
                    rowStride: place.stride,
                    pixelStride: place.step)
            }
            return try body(
                YuvFrame(width: width, height: height, y: planes[0], u: planes[1], v: planes[2], crop: crop))
        }
    }
}

/// A picture of these lumas without colour.
func picture(_ width: Int, _ height: Int, _ luma: (Int, Int) -> Int) -> Picture {
    var data = [UInt8](repeating: 128, count: width * height + 2 * ((width + 1) / 2) * ((height + 1) / 2))
    for y in 0..<height { for x in 0..<width { data[y * width + x] = UInt8(luma(x, y)) } }
    return Picture(data, width: width, height: height, layout: .nv12)
}
