import CoreVideo
import Recognizer

/// The planes of a 420f pixel buffer as a frame that is valid inside `body`.
///
/// Throws `PictureError` for another format or a buffer without memory, and what `body` throws.
func withYuvFrame<R>(_ pixels: CVPixelBuffer, _ body: (YuvFrame) throws -> R) throws -> R {
    guard CVPixelBufferGetPixelFormatType(pixels) == kCVPixelFormatType_420YpCbCr8BiPlanarFullRange else {
        throw PictureError("the camera gives another format than 420f")
    }
    guard CVPixelBufferLockBaseAddress(pixels, .readOnly) == kCVReturnSuccess else {
        throw PictureError("a picture's memory cannot be locked")
    }
    defer { CVPixelBufferUnlockBaseAddress(pixels, .readOnly) }
    let luma = try plane(pixels, 0)
    let chroma = try plane(pixels, 1)
    let step = chroma.rowStride
    let u = Plane(bytes: chroma.bytes, rowStride: step, pixelStride: 2)
    let v = Plane(
        bytes: UnsafeRawBufferPointer(rebasing: chroma.bytes.dropFirst()), rowStride: step, pixelStride: 2)
    return try body(
        YuvFrame(
            width: CVPixelBufferGetWidth(pixels), height: CVPixelBufferGetHeight(pixels), y: luma, u: u, v: v)
    )
}

private func plane(_ pixels: CVPixelBuffer, _ index: Int) throws -> Plane {
    guard let base = CVPixelBufferGetBaseAddressOfPlane(pixels, index) else {
        throw PictureError("a picture has no plane \(index)")
    }
    let stride = CVPixelBufferGetBytesPerRowOfPlane(pixels, index)
    let count = stride * CVPixelBufferGetHeightOfPlane(pixels, index)
    return Plane(bytes: UnsafeRawBufferPointer(start: base, count: count), rowStride: stride, pixelStride: 1)
}
