/// How one axis of a picture shrinks or grows to `size`, the centre being cropped where it is the long
/// one: the weights of `interpolate(mode="bilinear", antialias=True)` as whole numbers of `1 / 2^bits`.
struct Axis {
    let size: Int
    let bits: Int32
    private let first: [Int]
    private let weights: [[Int32]]

    // The largest weight keeps 15 bits: times a byte, and summed up to 1, it fits into 32.
    private static let mostBits = 22

    /// `short` is the picture's short side, which becomes `size`.
    init(source: Int, short: Int, size: Int) {
        self.size = size
        let length = Double(source) * Double(size) / Double(short)
        let target = size + 2 * Int(((length - Double(size)) / 2).rounded(.toNearestOrEven))
        let scale = Double(source) / Double(target)
        let support = max(scale, 1)
        var first: [Int] = []
        var shares: [[Double]] = []
        for made in 0..<size {
            let centre = scale * (Double((target - size) / 2 + made) + 0.5)
            let from = max(0, Int(centre - support + 0.5))
            let to = min(source, Int(centre + support + 0.5))
            let heights = (from..<to).map { max(0, 1 - abs((Double($0) - centre + 0.5) / support)) }
            let sum = heights.reduce(0, +)
            first.append(from)
            shares.append(heights.map { $0 / sum })
        }
        let largest = shares.joined().max() ?? 1
        let bits =
            (0..<Self.mostBits).first { Int(0.5 + largest * Double(1 << ($0 + 1))) >= 1 << 15 }
            ?? Self.mostBits
        self.bits = Int32(bits)
        self.first = first
        weights = shares.map { $0.map { Int32($0 * Double(1 << bits) + 0.5) } }
    }

    /// The first source position that counts at all, and the first behind them.
    var begin: Int { first[0] }
    var end: Int { end(of: size - 1) }

    func begin(of made: Int) -> Int { first[made] }
    func end(of made: Int) -> Int { first[made] + weights[made].count }
    func weights(of made: Int) -> [Int32] { weights[made] }

    /// How many results share one source position at most.
    var overlap: Int {
        (0..<size).map { i in (i..<size).prefix { begin(of: $0) < end(of: i) }.count }.max() ?? 1
    }
}
