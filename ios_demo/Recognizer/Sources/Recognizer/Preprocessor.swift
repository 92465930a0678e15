/// Where a picture for the program goes: `size` x `size` pixels of blue, green, red and alpha, a byte each,
/// rows `rowStride` bytes apart. Such is a pixel buffer of format 32BGRA.
public struct BgraTarget {
    public let bytes: UnsafeMutableRawBufferPointer
    public let size: Int
    public let rowStride: Int

    public init(bytes: UnsafeMutableRawBufferPointer, size: Int, rowStride: Int) throws {
        guard size > 0, rowStride >= 4 * size, bytes.count >= (size - 1) * rowStride + 4 * size else {
            throw PictureError(
                "\(bytes.count) bytes in rows of \(rowStride) hold no picture of \(size) x \(size)")
        }
        self.bytes = bytes
        self.size = size
        self.rowStride = rowStride
    }

    /// Fills it with a picture of RGB bytes (3, size, size) that begins at `from`.
    public func fill(_ pixels: [UInt8], from: Int) {
        let area = size * size
        for row in 0..<size {
            for column in 0..<size {
                let at = row * rowStride + 4 * column
                let pixel = from + row * size + column
                for colour in 0..<3 { bytes[at + 2 - colour] = pixels[pixel + colour * area] }
                bytes[at + 3] = 255
            }
        }
    }
}

/// Camera pictures to the picture that the program takes, as `core.data.transforms` makes it of the same
/// pictures in RGB: the short side resized with a filter, the centre cropped. Values are at most 1 of 255
/// apart from those.
///
/// Weights and buffers are made once for each size of picture; after that nothing is allocated. Turning
/// and mirroring cost nothing, they only change where results are put. Not safe for several threads.
public final class Preprocessor {
    private let size: Int
    private var resizer: Resizer?

    public init(size: Int) { self.size = size }

    /// Makes the program's picture of the part of `frame` that its crop holds.
    ///
    /// `rotation` is how far the picture has to be turned clockwise to stand upright: 0, 90, 180 or 270
    /// degrees (of a camera whose connection does not turn it: the rotation coordinator's angle for
    /// capture). `mirrored` tells that the source delivers mirrored pictures, seen upright; they are
    /// mirrored back, so that left stays left. Throws `PictureError` for another rotation or size.
    public func process(_ frame: YuvFrame, rotation: Int, mirrored: Bool, into target: BgraTarget) throws {
        guard target.size == size else {
            throw PictureError("a target of \(target.size) pixels a side: the program takes \(size)")
        }
        guard [0, 90, 180, 270].contains(rotation) else {
            throw PictureError("a rotation of \(rotation) degrees: give 0, 90, 180 or 270")
        }
        let fitting: Resizer
        if let resizer, resizer.fits(frame.crop) {
            fitting = resizer
        } else {
            fitting = Resizer(width: frame.crop.width, height: frame.crop.height, size: size)
            resizer = fitting
        }
        let pixels = fitting.resize(frame, downFirst: rotation % 180 != 0)
        place(pixels, rotation, mirrored, target)
    }

    /// Turns and mirrors pixels, (3, size, size) as they lie in the source.
    private func place(
        _ pixels: UnsafePointer<Int32>, _ rotation: Int, _ mirrored: Bool, _ target: BgraTarget
    ) {
        let begin = upright(0, 0, rotation, mirrored, target.rowStride)
        // In a picture of one pixel there is no second row or column to step to.
        let down = size > 1 ? upright(1, 0, rotation, mirrored, target.rowStride) - begin : 0
        let across = size > 1 ? upright(0, 1, rotation, mirrored, target.rowStride) - begin : 0
        let area = size * size
        guard let bytes = target.bytes.bindMemory(to: UInt8.self).baseAddress else { return }
        for row in 0..<size {
            var at = begin + row * down
            var from = row * size
            for _ in 0..<size {
                bytes[at] = UInt8(truncatingIfNeeded: pixels[2 * area + from])
                bytes[at + 1] = UInt8(truncatingIfNeeded: pixels[area + from])
                bytes[at + 2] = UInt8(truncatingIfNeeded: pixels[from])
                bytes[at + 3] = 255
                at += across
                from += 1
            }
        }
    }

    /// Where the source's pixel (row, column) goes, in bytes.
    private func upright(_ row: Int, _ column: Int, _ rotation: Int, _ mirrored: Bool, _ stride: Int) -> Int {
        let last = size - 1
        let (to, across) =
            switch rotation {
            case 0: (row, column)
            case 90: (column, last - row)
            case 180: (last - row, last - column)
            default: (last - column, row)
            }
        return to * stride + 4 * (mirrored ? last - across : across)
    }
}
