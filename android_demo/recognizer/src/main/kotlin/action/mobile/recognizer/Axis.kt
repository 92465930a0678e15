package action.mobile.recognizer

/**
 * How one axis of a picture shrinks or grows to [size] pixels: a triangle filter as wide as the step
 * between two of them and the crop of the centre.
 *
 * Filter and rounding of weights are those of `torch.nn.functional.interpolate(mode="bilinear",
 * antialias=True)` for bytes, so that the model sees what it sees in Python, to the bit where that has
 * its vectorised path. [source] is the side's length and [short] that of the picture's short side,
 * which becomes [size].
 */
internal class Axis(source: Int, short: Int, private val size: Int) {
    /** First source pixel of each pixel that is made, and how many there are; both ascend. */
    private val first = IntArray(size)
    private val count = IntArray(size)

    private val weights: Array<IntArray> // in parts of 1 shl [bits]

    /** How many bits a weight of 1 is shifted: as many as let the largest one fit into 15. */
    val bits: Int

    init {
        // What the crop takes off is even, so that the centre stays the centre to the pixel.
        val target = size + 2 * Math.rint((source.toDouble() * size / short - size) / 2).toInt()
        val scale = source.toDouble() / target
        val support = maxOf(scale, 1.0)
        val shares = Array(size) { i ->
            val centre = scale * ((target - size) / 2 + i + 0.5)
            first[i] = (centre - support + 0.5).toInt().coerceAtLeast(0)
            count[i] = (centre + support + 0.5).toInt().coerceAtMost(source) - first[i]
            shares(DoubleArray(count[i]) { 1 - Math.abs((first[i] + it - centre + 0.5) / support) })
        }
        bits = bitsFor(shares.maxOf { it.max() })
        weights = Array(size) { i -> IntArray(count[i]) { (shares[i][it] * (1 shl bits) + 0.5).toInt() } }
    }

    /** The source pixels that are needed at all: from [begin] up to, not including, [end]. */
    val begin: Int get() = first[0]
    val end: Int get() = endOf(size - 1)

    /** The most pixels that one source pixel may contribute to, those between its first and last. */
    val overlap: Int = (0 until size).maxOf { i -> (i until size).count { first[it] < endOf(i) } }

    fun beginOf(made: Int): Int = first[made]

    fun endOf(made: Int): Int = first[made] + count[made]

    /** Weights of the source pixels from [beginOf] on. */
    fun weightsOf(made: Int): IntArray = weights[made]

    private fun shares(heights: DoubleArray): DoubleArray {
        for (i in heights.indices) heights[i] = maxOf(heights[i], 0.0)
        val sum = heights.sum()
        return DoubleArray(heights.size) { heights[it] / sum }
    }

    private fun bitsFor(largest: Double): Int =
        (0 until MOST_BITS).firstOrNull { (0.5 + largest * (1 shl it + 1)).toInt() >= 1 shl WEIGHT_BITS } ?: MOST_BITS

    private companion object {
        const val WEIGHT_BITS = 15
        const val MOST_BITS = 22 // a sum of weighted bytes has eight more and stays within 31
    }
}
