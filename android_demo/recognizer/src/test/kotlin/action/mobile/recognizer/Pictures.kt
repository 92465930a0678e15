package action.mobile.recognizer

import java.nio.ByteBuffer

/** How the planes of a picture lie in memory. */
enum class Layout(val chromaStride: Int, val padding: Int, val vFirst: Boolean = false) {
    I420(1, 0),
    PADDED(1, 13),
    NV12(2, 0),
    NV21(2, 7, vFirst = true),
}

/** Bytes of a picture in I420: Y, U, V without padding. */
fun i420Size(width: Int, height: Int): Int = width * height + 2 * ((width + 1) / 2) * ((height + 1) / 2)

/** The I420 picture at [from] in [data], its planes laid out as a camera might. */
fun yuvFrame(data: ByteArray, from: Int, width: Int, height: Int, layout: Layout, crop: Crop? = null): YuvFrame {
    val columns = (width + 1) / 2
    val rows = (height + 1) / 2
    val u = from + width * height
    val v = u + columns * rows
    val luma = plane(data, from, width, height, 1, layout.padding)
    val whole = crop ?: Crop(0, 0, width, height)
    if (layout.chromaStride == 1) {
        val us = plane(data, u, columns, rows, 1, layout.padding)
        return YuvFrame(width, height, luma, us, plane(data, v, columns, rows, 1, layout.padding), whole)
    }
    // One block with both in turn; each plane starts at its own first value and ends with its last.
    val stride = 2 * columns + layout.padding
    val block = ByteBuffer.allocateDirect((rows - 1) * stride + 2 * columns)
    for (y in 0 until rows) {
        for (x in 0 until columns) {
            val at = y * stride + 2 * x
            block.put(at + if (layout.vFirst) 1 else 0, data[u + y * columns + x])
            block.put(at + if (layout.vFirst) 0 else 1, data[v + y * columns + x])
        }
    }
    val first = Plane(block.duplicate().apply { limit(capacity() - 1) }.slice(), stride, 2)
    val second = Plane(block.duplicate().apply { position(1) }.slice(), stride, 2)
    val (us, vs) = if (layout.vFirst) second to first else first to second
    return YuvFrame(width, height, luma, us, vs, whole)
}

private fun plane(data: ByteArray, from: Int, columns: Int, rows: Int, step: Int, padding: Int): Plane {
    val stride = columns * step + padding
    val buffer = ByteBuffer.allocateDirect((rows - 1) * stride + columns)
    for (y in 0 until rows) for (x in 0 until columns) buffer.put(y * stride + x, data[from + y * columns + x])
    return Plane(buffer, stride, step)
}

/** An input of [size] pixels a side; [last] puts the colours innermost in memory, as XNNPACK takes them. */
fun inputSpec(size: Int, last: Boolean = true): InputSpec = InputSpec(
    tensor = TensorSpec("frame", listOf(1, 3, size, size), if (last) listOf(0, 2, 3, 1) else listOf(0, 1, 2, 3)),
    mean = listOf(0.485, 0.456, 0.406),
    std = listOf(0.229, 0.224, 0.225),
    size = size,
    frameRate = 10.0,
)
