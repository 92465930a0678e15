/// The golden clip as a camera would give it, for a benchmark that needs none: enlarged to the height of the
/// picture, its edges continued to both sides, in NV12 of full range.
///
/// All frames are made at once, `width` * `height` * 1.5 bytes each.
public final class GoldenFrames {
    public let width: Int
    public let height: Int
    public var count: Int { frames.count }

    private let size: Int
    private var frames: [[UInt8]] = []  // Y, then U and V in turn

    /// Throws `BundleError` when the golden clip cannot be read. `width` is at least `height`.
    public init(_ bundle: GestureBundle, width: Int = 640, height: Int = 480) throws {
        precondition(width >= height && height > 0, "a picture that is higher than wide")
        self.width = width
        self.height = height
        size = bundle.manifest.input.size
        let pixels = try bundle.goldenPixels()
        for frame in 0..<bundle.manifest.golden.frames { frames.append(yuv(pixels, frame)) }
    }

    /// Frame number `index` of an endless series, valid inside `body`.
    public func frame<R>(_ index: Int, _ body: (YuvFrame) throws -> R) throws -> R {
        try frames[index % frames.count].withUnsafeBytes { raw in
            let luma = width * height
            let stride = 2 * ((width + 1) / 2)
            let y = UnsafeRawBufferPointer(rebasing: raw[..<luma])
            let u = UnsafeRawBufferPointer(rebasing: raw[luma...])
            let v = UnsafeRawBufferPointer(rebasing: raw[(luma + 1)...])
            return try body(
                YuvFrame(
                    width: width, height: height, y: Plane(bytes: y, rowStride: width, pixelStride: 1),
                    u: Plane(bytes: u, rowStride: stride, pixelStride: 2),
                    v: Plane(bytes: v, rowStride: stride, pixelStride: 2)))
        }
    }

    private func yuv(_ pixels: [UInt8], _ frame: Int) -> [UInt8] {
        let columns = (width + 1) / 2
        let rows = (height + 1) / 2
        var bytes = [UInt8](repeating: 0, count: width * height + 2 * columns * rows)
        for y in 0..<height {
            for x in 0..<width {
                let (r, g, b) = colours(pixels, frame, x, y)
                bytes[y * width + x] = byte(0.299 * r + 0.587 * g + 0.114 * b)
            }
        }
        for y in 0..<rows {
            for x in 0..<columns {
                let (r, g, b) = colours(pixels, frame, 2 * x, 2 * y)
                let at = width * height + 2 * (y * columns + x)
                bytes[at] = byte(128 - 0.168736 * r - 0.331264 * g + 0.5 * b)
                bytes[at + 1] = byte(128 + 0.5 * r - 0.418688 * g - 0.081312 * b)
            }
        }
        return bytes
    }

    private func byte(_ value: Double) -> UInt8 { UInt8(min(max(value.rounded(), 0), 255)) }

    /// The golden frame's colours at pixel (x, y) of the enlarged picture, bilinear.
    private func colours(_ pixels: [UInt8], _ frame: Int, _ x: Int, _ y: Int) -> (Double, Double, Double) {
        let scale = Double(size) / Double(height)
        let last = Double(size - 1)
        let column = min(max((Double(x - (width - height) / 2) + 0.5) * scale - 0.5, 0), last)
        let row = min(max((Double(y) + 0.5) * scale - 0.5, 0), last)
        let (left, top) = (Int(column), Int(row))
        let (right, bottom) = (min(left + 1, size - 1), min(top + 1, size - 1))
        func value(_ colour: Int) -> Double {
            let base = (frame * 3 + colour) * size * size
            func at(_ row: Int, _ column: Int) -> Double { Double(pixels[base + row * size + column]) }
            let upper = at(top, left) + (at(top, right) - at(top, left)) * (column - Double(left))
            let lower = at(bottom, left) + (at(bottom, right) - at(bottom, left)) * (column - Double(left))
            return upper + (lower - upper) * (row - Double(top))
        }
        return (value(0), value(1), value(2))
    }
}
