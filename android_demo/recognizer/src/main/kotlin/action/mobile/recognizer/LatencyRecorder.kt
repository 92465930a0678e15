package action.mobile.recognizer

/** A schema's `stages`: milliseconds of the counted calls. */
data class StageSummaries(
    val preprocess: StageSummary,
    val execute: StageSummary,
    val postprocess: StageSummary,
    val endToEnd: StageSummary,
)

/**
 * Keeps the stage times of up to [capacity] frames without allocating; when it is full, the oldest
 * make room. The camera's thread writes, the benchmark or a slow timer of the screen asks for
 * figures; the caller sees to it that both do not happen at once.
 */
class LatencyRecorder(val capacity: Int) {
    private val times = Array(STAGES) { LongArray(capacity) } // nanoseconds, a ring
    private var next = 0

    /** Frames that are held. */
    var count = 0
        private set

    init {
        require(capacity > 0) { "a recorder of $capacity frames keeps nothing" }
    }

    /** Adds the times of [moment]. */
    fun add(moment: Moment) = add(moment.preprocessNanos, moment.executeNanos, moment.postprocessNanos)

    /** Adds the times of one frame, nanoseconds. */
    fun add(preprocess: Long, execute: Long, postprocess: Long) {
        times[0][next] = preprocess
        times[1][next] = execute
        times[2][next] = postprocess
        next = (next + 1) % capacity
        if (count < capacity) count++
    }

    /** The figures of the frames that are held; null when there are none. Allocates. */
    fun summaries(): StageSummaries? = if (count == 0) null else StageSummaries(
        summary(milliseconds(0)), summary(milliseconds(1)), summary(milliseconds(2)), summary(endToEnd()),
    )

    /** Milliseconds of the frames that are held, oldest first, end to end. Allocates. */
    fun endToEnd(): DoubleArray = DoubleArray(count) { i ->
        val at = place(i)
        (times[0][at] + times[1][at] + times[2][at]) / NANOS_A_MILLISECOND
    }

    private fun milliseconds(stage: Int) = DoubleArray(count) { times[stage][place(it)] / NANOS_A_MILLISECOND }

    private fun place(index: Int) = (next - count + index + capacity) % capacity

    private companion object {
        const val STAGES = 3
        const val NANOS_A_MILLISECOND = 1e6
    }
}
