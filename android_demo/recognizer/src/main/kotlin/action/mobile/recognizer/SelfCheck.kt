package action.mobile.recognizer

import kotlin.math.abs
import kotlin.math.max

/** What the golden clip says of a program on this device. */
data class CheckResult(
    val passed: Boolean,
    val deviation: Double, // max |logit - golden| over max |golden|; NaN when the program failed
    val tolerance: Double, // the manifest's bound of it
    val reason: String?, // why it did not pass, in one line; null when it did
)

/**
 * Feeds the golden clip to [program] from a zero state and compares the logits; a device that is off
 * by more than the manifest's tolerance computes something else and should use another program.
 *
 * A program that fails does not pass. Throws [BundleException] when the golden clip cannot be read.
 */
fun selfCheck(bundle: Bundle, program: Program): CheckResult {
    val tolerance = bundle.manifest.golden.tolerance
    val expected = bundle.goldenLogits()
    val inputs = bundle.goldenInputs()
    var difference = 0.0
    var largest = 0.0
    try {
        val session = StreamSession(bundle.manifest, program)
        for ((t, input) in inputs.withIndex()) {
            for (i in 0 until input.capacity()) session.frame.put(i, input.get(i))
            val logits = session.step()
            for ((i, value) in expected[t].withIndex()) {
                difference = max(difference, abs(logits[i].toDouble() - value))
                largest = max(largest, abs(value.toDouble()))
            }
        }
    } catch (error: ProgramException) {
        return CheckResult(false, Double.NaN, tolerance, error.message)
    }
    // The product, as the bundle's format has it: golden logits of zeros are no division by zero.
    val passed = difference <= tolerance * largest
    val deviation = if (difference == 0.0) 0.0 else difference / largest
    val reason = "${program.name} is ${format(deviation)} of the largest logit from the golden clip, " +
        "${format(tolerance)} is allowed: choose another backend"
    return CheckResult(passed, deviation, tolerance, if (passed) null else reason)
}

private fun format(ratio: Double) = "%.3g".format(java.util.Locale.ROOT, ratio)
