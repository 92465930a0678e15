package action.mobile.recognizer

/**
 * Shrinks (or enlarges) pictures whose crop is [width] x [height] to [size] x [size]: the short side
 * is resized, the centre is cropped. Allocates nothing after the constructor.
 *
 * Each source row is read once, and added to the one or two rows of the result that it belongs to;
 * these loops run over plain arrays, which compilers turn into vector instructions.
 */
internal class Resizer(private val width: Int, private val height: Int, private val size: Int) {
    private val down = Axis(height, minOf(width, height), size)
    private val across = Axis(width, minOf(width, height), size)
    private val columns = across.end - across.begin
    private val colours = Colours(columns)
    private val narrow = IntArray(3 * size) // a source row that is shrunk across
    private val sums = Array(down.overlap) { IntArray(3 * maxOf(columns, size)) } // rows in the making
    private val pixels = IntArray(3 * size * size)

    /** Whether it was made for pictures of this size. */
    fun fits(crop: Crop): Boolean = crop.width == width && crop.height == height

    /**
     * The picture's colours as values of a byte, (3, size, size); the same array every time.
     *
     * Between the two passes values are rounded to bytes, so their order shows. Python shrinks the
     * upright picture across first, which is [downFirst] in one that lies on its side. That is the
     * faster order, and the one that a phone held upright has.
     */
    fun resize(frame: YuvFrame, downFirst: Boolean): IntArray {
        val left = frame.crop.left + across.begin
        val row = if (downFirst) colours.row else narrow
        var oldest = 0 // rows of the result from here up to `next` are in the making
        var next = 0
        colours.begin()
        for (y in down.begin until down.end) {
            while (next < size && down.beginOf(next) <= y) sums[next++ % sums.size].fill(0, 0, row.size)
            colours.read(frame, frame.crop.top + y, left)
            if (!downFirst) shrink(colours.row, narrow, 0, size)
            for (made in oldest until next) {
                if (y < down.endOf(made)) add(down.weightsOf(made)[y - down.beginOf(made)], row, sums[made % sums.size])
            }
            while (oldest < next && down.endOf(oldest) == y + 1) finish(sums[oldest % sums.size], oldest++, downFirst)
        }
        return pixels
    }

    private fun add(weight: Int, row: IntArray, sum: IntArray) {
        for (i in row.indices) sum[i] += weight * row[i]
    }

    /** Row [made] of the result from its sums, which it uses up. */
    private fun finish(sum: IntArray, made: Int, downFirst: Boolean) {
        val half = 1 shl down.bits - 1
        for (i in sum.indices) sum[i] = sum[i] + half shr down.bits
        if (downFirst) return shrink(sum, pixels, made * size, size * size)
        for (colour in 0 until 3) System.arraycopy(sum, colour * size, pixels, (colour * size + made) * size, size)
    }

    /** [row], [columns] values a colour, to [size] of them, put at [at] of planes of [plane] values. */
    private fun shrink(row: IntArray, into: IntArray, at: Int, plane: Int) {
        val bits = across.bits
        for (x in 0 until size) {
            val weights = across.weightsOf(x)
            var from = across.beginOf(x) - across.begin
            var red = 1 shl bits - 1
            var green = red
            var blue = red
            for (weight in weights) {
                red += weight * row[from]
                green += weight * row[columns + from]
                blue += weight * row[2 * columns + from]
                from++
            }
            into[at + x] = red shr bits
            into[plane + at + x] = green shr bits
            into[2 * plane + at + x] = blue shr bits
        }
    }
}
