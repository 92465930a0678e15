/// Shrinks (or enlarges) pictures whose crop is `width` x `height` to `size` x `size`: the short side is
/// resized, the centre is cropped. Allocates nothing after `init`.
///
/// Each source row is read once, turned into RGB and added to the one or two rows of the result that it
/// belongs to; these loops run over plain memory, which the compiler turns into vector instructions.
final class Resizer {
    private typealias Row = UnsafeMutablePointer<Int32>

    private let width: Int, height: Int, size: Int
    private let down: Axis, across: Axis
    private let columns: Int
    private let squares: Int
    private let row: Row  // a source row, (3, columns)
    private let narrow: Row  // a source row that is shrunk across, (3, size)
    private let offsets: Row  // what chroma adds to red, green and blue, (3, squares)
    private let sums: Row  // rows in the making, a ring of `overlap`
    private let sumLength: Int
    private let overlap: Int
    private let acrossWeights: Row
    private let acrossStart: [Int]
    private let result: Row
    private var chromaRow = -1

    init(width: Int, height: Int, size: Int) {
        self.width = width
        self.height = height
        self.size = size
        down = Axis(source: height, short: min(width, height), size: size)
        across = Axis(source: width, short: min(width, height), size: size)
        columns = across.end - across.begin
        squares = columns / 2 + 1
        overlap = down.overlap
        sumLength = 3 * max(columns, size)
        row = zeros(3 * columns)
        narrow = zeros(3 * size)
        offsets = zeros(3 * squares)
        sums = zeros(overlap * sumLength)
        result = zeros(3 * size * size)
        let weights = (0..<size).map(across.weights(of:))
        acrossWeights = zeros(weights.reduce(0) { $0 + $1.count })
        var start: [Int] = []
        var at = 0
        for some in weights {
            start.append(at)
            for weight in some {
                acrossWeights[at] = weight
                at += 1
            }
        }
        acrossStart = start
    }

    deinit { for memory in [row, narrow, offsets, sums, acrossWeights, result] { memory.deallocate() } }

    /// Whether it was made for pictures of this size.
    func fits(_ crop: Crop) -> Bool { crop.width == width && crop.height == height }

    /// The picture's colours as values of a byte, (3, size, size); the same memory every time.
    ///
    /// Between the two passes values are rounded to bytes, so their order shows. Python shrinks the
    /// upright picture across first, which is `downFirst` in one that lies on its side.
    func resize(_ frame: YuvFrame, downFirst: Bool) -> UnsafePointer<Int32> {
        let left = frame.crop.left + across.begin
        let source = downFirst ? row : narrow
        let length = downFirst ? 3 * columns : 3 * size
        var oldest = 0  // rows of the result from here up to `next` are in the making
        var next = 0
        chromaRow = -1
        for y in down.begin..<down.end {
            while next < size, down.begin(of: next) <= y {
                sum(next).update(repeating: 0, count: length)
                next += 1
            }
            read(frame, y: frame.crop.top + y, left: left)
            if !downFirst { shrink(row, into: narrow, at: 0, plane: size) }
            for made in oldest..<next where y < down.end(of: made) {
                add(down.weights(of: made)[y - down.begin(of: made)], source, to: sum(made), length)
            }
            while oldest < next, down.end(of: oldest) == y + 1 {
                finish(sum(oldest), made: oldest, downFirst: downFirst, length: length)
                oldest += 1
            }
        }
        return UnsafePointer(result)
    }

    private func sum(_ made: Int) -> Row { sums + made % overlap * sumLength }

    @inline(__always) private func add(_ weight: Int32, _ row: Row, to sum: Row, _ count: Int) {
        for i in 0..<count { sum[i] &+= weight &* row[i] }
    }

    /// Row `made` of the result from its sums, which it uses up.
    private func finish(_ sum: Row, made: Int, downFirst: Bool, length: Int) {
        let bits = down.bits
        let half = Self.half(bits)
        for i in 0..<length { sum[i] = (sum[i] &+ half) >> bits }
        if downFirst { return shrink(sum, into: result, at: made * size, plane: size * size) }
        for colour in 0..<3 {
            (result + (colour * size + made) * size).update(from: sum + colour * size, count: size)
        }
    }

    /// A row of `columns` values a colour to `size` of them, put at `at` of planes of `plane` values.
    private func shrink(_ row: Row, into target: Row, at: Int, plane: Int) {
        let bits = across.bits
        let half = Self.half(bits)
        for x in 0..<size {
            let weights = acrossWeights + acrossStart[x]
            let from = across.begin(of: x) - across.begin
            var red = half
            var green = half
            var blue = half
            for k in 0..<(across.end(of: x) - across.begin(of: x)) {
                red &+= weights[k] &* row[from + k]
                green &+= weights[k] &* row[columns + from + k]
                blue &+= weights[k] &* row[2 * columns + from + k]
            }
            target[at + x] = red >> bits
            target[plane + at + x] = green >> bits
            target[2 * plane + at + x] = blue >> bits
        }
    }

    private static func half(_ bits: Int32) -> Int32 { bits == 0 ? 0 : 1 << (bits - 1) }

    /// Source row `y` from column `left` on as RGB: JFIF's BT.601 in 22 bits behind the point.
    private func read(_ frame: YuvFrame, y: Int, left: Int) {
        if y / 2 != chromaRow {
            chromaRow = y / 2
            readChroma(frame, left: left)
        }
        let plane = frame.y
        let from = y * plane.rowStride
        let bytes = plane.bytes.baseAddress! + from  // a checked frame has memory
        let odd = left & 1
        for x in 0..<columns {
            let value = Int32(bytes.load(fromByteOffset: (left + x) * plane.pixelStride, as: UInt8.self))
            let square = (x + odd) >> 1
            row[x] = min(max(value &+ offsets[square], 0), 255)
            row[columns + x] = min(max(value &+ offsets[squares + square], 0), 255)
            row[2 * columns + x] = min(max(value &+ offsets[2 * squares + square], 0), 255)
        }
    }

    private func readChroma(_ frame: YuvFrame, left: Int) {
        let begin = left / 2
        let count = (left + columns - 1) / 2 - begin + 1
        let us = frame.u.bytes.baseAddress! + chromaRow * frame.u.rowStride
        let vs = frame.v.bytes.baseAddress! + chromaRow * frame.v.rowStride
        let half = Int32(1) << 21
        for i in 0..<count {
            let u = Int32(us.load(fromByteOffset: (begin + i) * frame.u.pixelStride, as: UInt8.self)) - 128
            let v = Int32(vs.load(fromByteOffset: (begin + i) * frame.v.pixelStride, as: UInt8.self)) - 128
            offsets[i] = (5_880_414 &* v &+ half) >> 22  // 1.402
            offsets[squares + i] = (-1_443_411 &* u &- 2_995_303 &* v &+ half) >> 22  // 0.344136, 0.714136
            offsets[2 * squares + i] = (7_432_307 &* u &+ half) >> 22  // 1.772
        }
    }
}

private func zeros(_ count: Int) -> UnsafeMutablePointer<Int32> {
    let memory = UnsafeMutablePointer<Int32>.allocate(capacity: count)
    memory.initialize(repeating: 0, count: count)
    return memory
}
