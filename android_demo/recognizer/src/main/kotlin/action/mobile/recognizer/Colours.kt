package action.mobile.recognizer

/**
 * Rows of a YUV picture as red, green and blue, by ITU-R BT.601 with the full range of bytes: JFIF's
 * conversion, which is what Android's cameras deliver in YUV_420_888 unless a data space says
 * otherwise.
 *
 *     red   = Y + 1.402 (V - 128)
 *     green = Y - 0.344136 (U - 128) - 0.714136 (V - 128)
 *     blue  = Y + 1.772 (U - 128)
 *
 * rounded and limited to bytes. The four pixels of a square share their U and V; smoothing these first
 * would not show after the picture is shrunk. [columns] is the length of a row.
 */
internal class Colours(private val columns: Int) {
    /** A row: all of red, then green, then blue. */
    val row = IntArray(3 * columns)

    private val squares = columns / 2 + 1
    private val offsets = Array(3) { IntArray(squares) } // what a square adds to Y, by colour
    private var luma = ByteArray(columns)
    private var us = ByteArray(squares)
    private var vs = ByteArray(squares)
    private var chromaRow = NONE // whose offsets these are

    /** Forgets the row before: the next one is of another picture. */
    fun begin() {
        chromaRow = NONE
    }

    /** Reads row [y] of [frame] from column [left] on into [row]. */
    fun read(frame: YuvFrame, y: Int, left: Int) {
        if (y / 2 != chromaRow) {
            chromaRow = y / 2
            readOffsets(frame, left)
        }
        luma = fetch(frame.y, y, left, columns, luma)
        val stride = frame.y.pixelStride
        val (reds, greens, blues) = offsets
        var square = 0
        var x = 0
        if (left % 2 == 1) put(x++, luma[0], reds[square], greens[square], blues[square++])
        while (x + 1 < columns) {
            val red = reds[square]
            val green = greens[square]
            val blue = blues[square++]
            put(x, luma[x * stride], red, green, blue)
            put(x + 1, luma[(x + 1) * stride], red, green, blue)
            x += 2
        }
        if (x < columns) put(x, luma[x * stride], reds[square], greens[square], blues[square])
    }

    private fun put(x: Int, luma: Byte, red: Int, green: Int, blue: Int) {
        val value = luma.toInt() and 0xff
        row[x] = limited(value + red)
        row[columns + x] = limited(value + green)
        row[2 * columns + x] = limited(value + blue)
    }

    private fun limited(value: Int): Int = if (value and 0xff.inv() == 0) value else if (value < 0) 0 else 255

    private fun readOffsets(frame: YuvFrame, left: Int) {
        val begin = left / 2
        val count = (left + columns - 1) / 2 - begin + 1
        us = fetch(frame.u, chromaRow, begin, count, us)
        vs = fetch(frame.v, chromaRow, begin, count, vs)
        val (reds, greens, blues) = offsets
        for (i in 0 until count) {
            val u = (us[i * frame.u.pixelStride].toInt() and 0xff) - 128
            val v = (vs[i * frame.v.pixelStride].toInt() and 0xff) - 128
            // Y is whole, so that rounding what is added to it rounds the sum.
            reds[i] = RED_V * v + HALF shr BITS
            greens[i] = GREEN_U * u + GREEN_V * v + HALF shr BITS
            blues[i] = BLUE_U * u + HALF shr BITS
        }
    }

    /** Copies the bytes of a row at once, which costs a fraction of reading them one by one. */
    private fun fetch(plane: Plane, y: Int, left: Int, count: Int, into: ByteArray): ByteArray {
        val length = (count - 1) * plane.pixelStride + 1
        val bytes = if (into.size < length) ByteArray(length) else into
        plane.buffer.position(y * plane.rowStride + left * plane.pixelStride)
        plane.buffer.get(bytes, 0, length)
        return bytes
    }

    private companion object {
        const val NONE = -1
        const val BITS = 22
        const val HALF = 1 shl BITS - 1
        const val RED_V = 5880414 // 1.402
        const val GREEN_U = -1443411 // 0.344136
        const val GREEN_V = -2995303 // 0.714136
        const val BLUE_U = 7432307 // 1.772
    }
}
