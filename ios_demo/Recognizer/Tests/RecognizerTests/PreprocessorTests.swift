import Foundation
import Testing

@testable import Recognizer

private let apart = 1  // of 255: what two implementations may differ by
private let same = 0.995  // of all values; shrunk pictures are to the bit but for a few ties

/// The pictures that the Android demo is held to as well; tests/android_vectors.py made them.
private struct Cases {
    struct Case: Decodable, Sendable {
        let name: String, width: Int, height: Int, size: Int, rotation: Int, mirrored: Bool
        let crop: [Int]?, picture: Int, expected: Int
    }
    private struct File: Decodable { let cases: [Case] }

    let data: [UInt8]
    let cases: [Case]

    init() throws {
        let folder = repository.appending(path: "android_demo/recognizer/src/test/resources")
        cases = try JSONDecoder().decode(
            File.self, from: Data(contentsOf: folder.appending(path: "pictures.json"))
        ).cases
        data = try unzipped(folder.appending(path: "pictures.bin.gz"))
    }
}

/// Foundation has no gzip; every system that Swift runs on has the command.
private func unzipped(_ file: URL) throws -> [UInt8] {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["gzip", "-dc", file.path]
    process.standardOutput = output
    try process.run()
    let data = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    return [UInt8](data)
}

/// What the program is given: RGB bytes (3, size, size). Rows of the target are padded.
private func pixels(_ frame: YuvFrame, size: Int, rotation: Int, mirrored: Bool) throws -> [Int] {
    let stride = 4 * size + 20
    var bytes = [UInt8](repeating: 77, count: size * stride)
    try bytes.withUnsafeMutableBytes { raw in
        let target = try BgraTarget(bytes: raw, size: size, rowStride: stride)
        try Preprocessor(size: size).process(frame, rotation: rotation, mirrored: mirrored, into: target)
    }
    for row in 0..<size {
        // Nothing beside it.
        #expect(bytes[(row * stride + 4 * size)..<((row + 1) * stride)].allSatisfy { $0 == 77 })
        for column in 0..<size { #expect(bytes[row * stride + 4 * column + 3] == 255) }
    }
    return [2, 1, 0].flatMap { colour in
        (0..<(size * size)).map { Int(bytes[$0 / size * stride + 4 * ($0 % size) + colour]) }
    }
}

struct PreprocessorTests {
    @Test func picturesComeOutAsPythonMakesThem() throws {
        let held = try Cases()
        #expect(held.cases.count >= 20)
        var equal = 0
        var all = 0
        for one in held.cases {
            let crop = one.crop.map { Crop(left: $0[0], top: $0[1], right: $0[2], bottom: $0[3]) }
            for layout in Layout.allCases {
                let source = Picture(
                    held.data, at: one.picture, width: one.width, height: one.height, layout: layout)
                let made = try source.frame(crop) {
                    try pixels($0, size: one.size, rotation: one.rotation, mirrored: one.mirrored)
                }
                let wanted = held.data[one.expected..<(one.expected + made.count)].map(Int.init)
                let worst = zip(made, wanted).map { abs($0 - $1) }.max() ?? 0
                #expect(worst <= apart, "\(one), \(layout): \(worst) of 255 apart")
                equal += zip(made, wanted).count { $0 == $1 }
                all += made.count
            }
        }
        print("pre-processing: \(all - equal) of \(all) values are not Python's")
        #expect(Double(equal) >= same * Double(all))
    }

    /// Values of the upright picture's left and right side.
    private func sides(_ rotation: Int, mirrored: Bool, _ luma: (Int, Int) -> Int) throws -> [Int] {
        try picture(96, 64, luma).frame { frame in
            let made = try pixels(frame, size: 16, rotation: rotation, mirrored: mirrored)
            return [made[8 * 16 + 1], made[8 * 16 + 14]]
        }
    }

    @Test func leftStaysLeft() throws {
        // Left half black, right half white, as the person's own eyes would see the picture.
        #expect(try sides(0, mirrored: false) { x, _ in x < 48 ? 0 : 255 } == [0, 255])
        // A source that delivers the mirrored picture is mirrored back.
        #expect(try sides(0, mirrored: true) { x, _ in x < 48 ? 255 : 0 } == [0, 255])
        // A phone upright: the sensor's picture lies on its side, its top is the upright one's right.
        #expect(try sides(90, mirrored: false) { _, y in y < 32 ? 255 : 0 } == [0, 255])
        // A sensor that is built in the other way round.
        #expect(try sides(270, mirrored: false) { _, y in y < 32 ? 0 : 255 } == [0, 255])
        #expect(try sides(270, mirrored: true) { _, y in y < 32 ? 255 : 0 } == [0, 255])
        // The other landscape.
        #expect(try sides(180, mirrored: false) { x, _ in x < 48 ? 255 : 0 } == [0, 255])
    }

    @Test(arguments: [
        (0, false, true, false), (180, false, true, true), (0, true, true, true), (90, false, false, true),
        (90, true, false, false), (270, false, false, false), (270, true, false, true),
    ])
    func theHalfOfAPictureIsThatOfThePersonInIt(
        _ rotation: Int, _ mirrored: Bool, _ across: Bool, _ whiteFirst: Bool
    ) throws {
        // Black where the person's right is: at the left of a picture that is no mirror.
        let made = picture(96, 64) { x, y in (across ? x < 48 : y < 32) == whiteFirst ? 255 : 0 }
        for (part, value) in [(Part.right, 0), (.left, 255)] {
            let found = try made.frame { frame in
                let half = try frame.part(Seen(mirrored: mirrored, part: part), rotation: rotation)
                return try pixels(half, size: 16, rotation: rotation, mirrored: mirrored)
            }
            #expect(found[8 * 16 + 1] == value, "\(part)")
            #expect(found[8 * 16 + 14] == value, "\(part)")
        }
    }

    @Test func aRegionLiesInTheCropTurnedAsThePictureIs() {
        let whole = Crop(left: 10, top: 20, right: 110, bottom: 80)  // 100 x 60
        let region = Region(x: 0.1, y: 0.25, width: 0.5, height: 0.5)
        let wanted = [
            0: [20, 35, 70, 65], 90: [35, 44, 85, 74], 180: [50, 35, 100, 65], 270: [35, 26, 85, 56],
        ]
        for (rotation, sides) in wanted {
            let found = cropOf(region, rotation: rotation, whole)
            #expect([found.left, found.top, found.right, found.bottom] == sides, "\(rotation)")
        }
        #expect(Seen(part: .left).shown(front: true) == Region(width: 0.5))
        #expect(Seen(mirrored: true, part: .left).shown(front: true) == Region(x: 0.5, width: 0.5))
        for seen in Part.allCases.flatMap({ [Seen(part: $0), Seen(mirrored: true, part: $0)] }) {
            #expect(Seen(noted: seen.noted) == seen)
        }
        for other in [nil, "", "upper false", "left"] { #expect(Seen(noted: other) == Seen()) }
        let square = region.square(100, 60)
        #expect([square.left, square.top, square.side] == [20, 15, 30])
    }

    @Test func coloursAreNotExchanged() throws {
        // Pure red of full range in YUV: 76, 85, 255. U and V in the other's place would be blue.
        var data = [UInt8](repeating: 76, count: 16 * 16)
        data += [UInt8](repeating: 85, count: 64) + [UInt8](repeating: 255, count: 64)
        for layout in Layout.allCases {
            let made = try Picture(data, width: 16, height: 16, layout: layout).frame {
                try pixels($0, size: 4, rotation: 0, mirrored: false)
            }
            #expect(made[0] >= 253 && made[16] <= 2 && made[32] <= 2, "\(layout)")
        }
    }

    @Test(arguments: [(640, 480), (1280, 720), (31, 17), (7, 211), (1, 1)])
    func aPlainColourStaysTheSame(_ width: Int, _ height: Int) throws {
        let made = try picture(width, height) { _, _ in 201 }.frame {
            try pixels($0, size: 112, rotation: 90, mirrored: false)
        }
        #expect(made.allSatisfy { $0 == 201 })
    }

    @Test func whatCannotBeAPictureIsRefusedInOneLine() throws {
        try picture(32, 32) { _, _ in 0 }.frame { frame in
            var bytes = [UInt8](repeating: 0, count: 4 * 16 * 16)
            try bytes.withUnsafeMutableBytes { raw in
                let target = try BgraTarget(bytes: raw, size: 16, rowStride: 64)
                #expect(throws: PictureError("a rotation of 45 degrees: give 0, 90, 180 or 270")) {
                    try Preprocessor(size: 16).process(frame, rotation: 45, mirrored: false, into: target)
                }
                #expect(throws: PictureError.self) {
                    try Preprocessor(size: 8).process(frame, rotation: 0, mirrored: false, into: target)
                }
                #expect(throws: PictureError.self) { try BgraTarget(bytes: raw, size: 17, rowStride: 64) }
            }
            let small = Plane(
                bytes: UnsafeRawBufferPointer(rebasing: frame.y.bytes[..<10]), rowStride: 4, pixelStride: 1)
            #expect(throws: PictureError("plane Y has 10 bytes, 4 x 4 pixels need 16")) {
                try YuvFrame(width: 4, height: 4, y: small, u: frame.u, v: frame.v)
            }
            let narrow = Plane(bytes: frame.y.bytes, rowStride: 31, pixelStride: 1)
            for crop in [
                nil, Crop(left: 0, top: 0, right: 33, bottom: 32), Crop(left: 5, top: 5, right: 5, bottom: 6),
            ] {
                #expect(throws: PictureError.self) {
                    try YuvFrame(
                        width: 32, height: 32, y: crop == nil ? narrow : frame.y, u: frame.u, v: frame.v,
                        crop: crop)
                }
            }
        }
    }
}
