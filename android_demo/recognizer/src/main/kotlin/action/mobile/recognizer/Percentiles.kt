package action.mobile.recognizer

import java.math.BigDecimal
import java.math.RoundingMode
import kotlin.math.sqrt

/** Milliseconds of a stage; [std] is the population's. */
data class StageSummary(
    val count: Int,
    val min: Double,
    val mean: Double,
    val p50: Double,
    val p90: Double,
    val p99: Double,
    val std: Double,
)

/**
 * The smallest value that at least [percent] % (1 to 100) of the first [count] of [ordered] do not
 * exceed: the one of rank ceil(percent * count / 100), counted from 1. [ordered] ascends.
 */
fun nearestRank(ordered: DoubleArray, count: Int, percent: Int): Double =
    ordered[((percent.toLong() * count + 99) / 100 - 1).toInt()]

/** The figures of [values], milliseconds. Throws [IllegalArgumentException] when there are none. */
fun summary(values: DoubleArray): StageSummary {
    require(values.isNotEmpty()) { "no times to sum up" }
    val ordered = values.sortedArray()
    val count = ordered.size
    val mean = accurateSum(ordered) / count
    val squares = DoubleArray(count) { (ordered[it] - mean) * (ordered[it] - mean) }
    return StageSummary(
        count = count,
        min = rounded(ordered[0]),
        mean = rounded(mean),
        p50 = rounded(nearestRank(ordered, count, 50)),
        p90 = rounded(nearestRank(ordered, count, 90)),
        p99 = rounded(nearestRank(ordered, count, 99)),
        std = rounded(sqrt(accurateSum(squares) / count)),
    )
}

/** Milliseconds as they are written: four decimals, a tie to the even digit. */
fun rounded(ms: Double): Double = BigDecimal(ms).setScale(DECIMALS, RoundingMode.HALF_EVEN).toDouble()

private const val DECIMALS = 4

/** Neumaier's compensated sum: the order of the values does not show in the result. */
private fun accurateSum(values: DoubleArray): Double {
    var sum = 0.0
    var lost = 0.0
    for (value in values) {
        val next = sum + value
        lost += if (Math.abs(sum) >= Math.abs(value)) (sum - next) + value else (value - next) + sum
        sum = next
    }
    return sum + lost
}
