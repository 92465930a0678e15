/// One plane of a picture: the value of column x and row y is byte `y * rowStride + x * pixelStride`.
public struct Plane {
    public let bytes: UnsafeRawBufferPointer
    public let rowStride: Int
    public let pixelStride: Int

    public init(bytes: UnsafeRawBufferPointer, rowStride: Int, pixelStride: Int) {
        self.bytes = bytes
        self.rowStride = rowStride
        self.pixelStride = pixelStride
    }
}

/// A part of a picture in pixels; `right` and `bottom` are the first that do not belong to it.
public struct Crop: Equatable, Sendable {
    public let left: Int, top: Int, right: Int, bottom: Int

    public init(left: Int, top: Int, right: Int, bottom: Int) {
        self.left = left
        self.top = top
        self.right = right
        self.bottom = bottom
    }

    public var width: Int { right - left }
    public var height: Int { bottom - top }
}

/// A picture in YUV 4:2:0: y has a value a pixel, u and v one for every square of two by two, rounded up.
/// Values are BT.601 of full range, as a camera of format 420f gives them.
///
/// It serves planar (I420), semi-planar (NV12, an iPhone's) and padded layouts alike, and is valid as long
/// as its planes' memory is.
public struct YuvFrame {
    public let width: Int
    public let height: Int
    public let y: Plane, u: Plane, v: Plane
    public let crop: Crop

    /// Throws `PictureError` when a plane is too small for the size or the crop lies outside.
    public init(width: Int, height: Int, y: Plane, u: Plane, v: Plane, crop: Crop? = nil) throws {
        self.width = width
        self.height = height
        self.y = y
        self.u = u
        self.v = v
        self.crop = crop ?? Crop(left: 0, top: 0, right: width, bottom: height)
        guard width > 0, height > 0 else {
            throw PictureError("a picture of \(width) x \(height) pixels has none")
        }
        let part = self.crop
        guard part.left >= 0, part.top >= 0, part.right <= width, part.bottom <= height else {
            throw PictureError("a crop lies outside of a picture of \(width) x \(height) pixels")
        }
        guard part.width > 0, part.height > 0 else { throw PictureError("a crop has no pixel") }
        try check(y, width, height, "Y")
        try check(u, (width + 1) / 2, (height + 1) / 2, "U")
        try check(v, (width + 1) / 2, (height + 1) / 2, "V")
    }

    private func check(_ plane: Plane, _ columns: Int, _ rows: Int, _ name: String) throws {
        let line = (columns - 1) * plane.pixelStride + 1
        guard plane.pixelStride > 0, plane.rowStride >= line else {
            throw PictureError(
                "plane \(name): rows of \(columns) values at a stride of \(plane.pixelStride) do "
                    + "not fit into \(plane.rowStride) bytes")
        }
        // The last row of a camera's plane ends with its last value, not with its stride.
        let needed = (rows - 1) * plane.rowStride + line
        guard plane.bytes.count >= needed else {
            throw PictureError(
                "plane \(name) has \(plane.bytes.count) bytes, \(width) x \(height) pixels need \(needed)")
        }
    }
}
