package action.mobile.recognizer

import java.nio.ByteBuffer

/**
 * One plane of a picture, as Android's `Image.Plane` describes it: the value of column x and row y is
 * byte `y * rowStride + x * pixelStride` of [buffer], counted from its start. The buffer's position
 * is moved by whoever reads it.
 */
class Plane(val buffer: ByteBuffer, val rowStride: Int, val pixelStride: Int)

/** A part of a picture in pixels; [right] and [bottom] are the first that do not belong to it. */
data class Crop(val left: Int, val top: Int, val right: Int, val bottom: Int) {
    val width: Int get() = right - left
    val height: Int get() = bottom - top
}

/**
 * A picture in YUV 4:2:0: [y] has a value a pixel, [u] and [v] one for every square of two by two,
 * rounded up. It serves planar (I420), semi-planar (NV12, NV21) and padded layouts alike.
 *
 * [crop] is the part that holds a picture. Throws [IllegalArgumentException] when a plane is too
 * small for the size or the crop lies outside.
 */
class YuvFrame(
    val width: Int,
    val height: Int,
    val y: Plane,
    val u: Plane,
    val v: Plane,
    val crop: Crop = Crop(0, 0, width, height),
) {
    init {
        require(width > 0 && height > 0) { "a picture of $width x $height pixels has none" }
        require(crop.left >= 0 && crop.top >= 0 && crop.right <= width && crop.bottom <= height) {
            "$crop lies outside of a picture of $width x $height pixels"
        }
        require(crop.width > 0 && crop.height > 0) { "$crop has no pixel" }
        check(y, width, height, "Y")
        check(u, (width + 1) / 2, (height + 1) / 2, "U")
        check(v, (width + 1) / 2, (height + 1) / 2, "V")
    }

    private fun check(plane: Plane, columns: Int, rows: Int, name: String) {
        val line = (columns - 1L) * plane.pixelStride + 1
        require(plane.pixelStride > 0 && plane.rowStride >= line) {
            "plane $name: rows of $columns values at a stride of ${plane.pixelStride} do not fit into " +
                "${plane.rowStride} bytes"
        }
        // The last row of a camera's plane ends with its last value, not with its stride.
        val needed = (rows - 1L) * plane.rowStride + line
        require(plane.buffer.limit() >= needed) {
            "plane $name has ${plane.buffer.limit()} bytes, $width x $height pixels need $needed"
        }
    }
}
