package action.mobile.recognizer

import kotlin.math.floor

/**
 * Which camera frames a stream takes, by their time stamps alone; `docs/bundle.md`, Ticks.
 *
 * [frame] decides; [missed] and [reset] tell about the frame that it was asked for last.
 */
class Ticks(private val rate: Double, private val resetAfterMissed: Int) {
    /** Ticks before the last frame that no frame came for. */
    var missed = 0
        private set

    /** Whether state and decision have to be forgotten before the last frame. */
    var reset = false
        private set

    private var started = false
    private var first = 0.0 // time of tick 0
    private var last = 0L // number of the latest tick that was served
    private var latest = Double.NEGATIVE_INFINITY // time of the latest frame

    /**
     * Whether the frame of this time stamp, in seconds, is taken.
     *
     * The clock starts anew with the first frame, with one that is earlier than the frame before it,
     * and after too many missed ticks.
     */
    fun frame(seconds: Double): Boolean {
        val back = seconds < latest
        latest = seconds
        missed = 0
        reset = false
        if (!started || back) {
            startAt(seconds)
            reset = back
            return true
        }
        val number = floor((seconds - first) * rate + EARLY).toLong()
        if (number <= last) return false
        missed = (number - last - 1).coerceAtMost(Int.MAX_VALUE.toLong()).toInt()
        last = number
        if (missed >= resetAfterMissed) {
            startAt(seconds)
            reset = true
        }
        return true
    }

    /** As before the first frame: the time until the next one is no missed ticks. */
    fun restart() {
        started = false
        latest = Double.NEGATIVE_INFINITY
    }

    private fun startAt(seconds: Double) {
        started = true
        first = seconds
        last = 0
    }

    private companion object {
        // A frame serves a tick from a quarter of a period before it on: cameras jitter.
        const val EARLY = 0.25
    }
}
