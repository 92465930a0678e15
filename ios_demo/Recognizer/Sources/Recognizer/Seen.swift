/// A region of a picture as it is in the world, neither turned nor mirrored: parts of its sides, from the
/// upper left corner. The model takes the square in its middle.
public struct Region: Sendable, Equatable {
    public let x: Double, y: Double, width: Double, height: Double

    public init(x: Double = 0, y: Double = 0, width: Double = 1, height: Double = 1) {
        self.x = x
        self.y = y
        self.width = width
        self.height = height
    }

    /// Where it lies in the picture seen in a mirror.
    public var mirrored: Region { Region(x: 1 - x - width, y: y, width: width, height: height) }

    /// Left, top and side of the square in its middle, of a picture of this size.
    public func square(_ width: Double, _ height: Double) -> (left: Double, top: Double, side: Double) {
        let side = min(self.width * width, self.height * height)
        let left = x * width + (self.width * width - side) / 2
        let top = y * height + (self.height * height - side) / 2
        return (left, top, side)
    }
}

/// The parts that the app offers; left and right are those of the person in the picture, who faces it.
public enum Part: String, Sendable, CaseIterable {
    case middle, left, right

    public var region: Region {
        switch self {
        case .middle: Region()
        case .left: Region(x: 0.5, width: 0.5)
        case .right: Region(width: 0.5)
        }
    }
}

/// What of the source's pictures the model sees; `mirrored`: they come as in a mirror and are turned back.
public struct Seen: Sendable, Equatable {
    public var mirrored: Bool
    public var part: Part

    public init(mirrored: Bool = false, part: Part = .middle) {
        self.mirrored = mirrored
        self.part = part
    }

    /// For keeping it; `init(noted:)` reads it again.
    public var noted: String { "\(part.rawValue) \(mirrored)" }

    /// What `noted` gave; the default for anything else, such as a part that is no more.
    public init(noted: String?) {
        let all = Part.allCases.flatMap { [Seen(part: $0), Seen(mirrored: true, part: $0)] }
        self = all.first { $0.noted == noted } ?? Seen()
    }

    /// Whether a preview shows the picture as a mirror does; the system mirrors a front camera's by itself.
    public func isMirror(front: Bool) -> Bool { front != mirrored }

    /// The region as that preview shows it.
    public func shown(front: Bool) -> Region { isMirror(front: front) ? part.region.mirrored : part.region }
}

extension YuvFrame {
    /// The part of the crop that is seen; the frame itself when that is all of it. `rotation` is how far it
    /// has to be turned clockwise to stand upright, as for `Preprocessor.process`.
    ///
    /// Throws `PictureError` where not a pixel is left of it.
    public func part(_ seen: Seen, rotation: Int) throws -> YuvFrame {
        if seen.part == .middle { return self }
        let region = seen.mirrored ? seen.part.region.mirrored : seen.part.region
        return try YuvFrame(
            width: width, height: height, y: y, u: u, v: v, crop: cropOf(region, rotation: rotation, crop))
    }
}

/// A region of the upright picture, as it lies in the whole that is not turned yet.
func cropOf(_ region: Region, rotation: Int, _ whole: Crop) -> Crop {
    let (x, y, w, h) = (region.x, region.y, region.width, region.height)
    let lying =
        switch rotation {
        case 0: region
        case 90: Region(x: y, y: 1 - x - w, width: h, height: w)
        case 180: Region(x: 1 - x - w, y: 1 - y - h, width: w, height: h)
        default: Region(x: 1 - y - h, y: x, width: h, height: w)
        }
    func place(_ part: Double, _ side: Int) -> Int { Int((part * Double(side)).rounded()) }
    return Crop(
        left: whole.left + place(lying.x, whole.width),
        top: whole.top + place(lying.y, whole.height),
        right: whole.left + place(lying.x + lying.width, whole.width),
        bottom: whole.top + place(lying.y + lying.height, whole.height))
}
