package action.mobile.app.benchmark

import action.mobile.recognizer.BenchmarkPlan

/** What is asked for, by the button or by a script; null: as the app sees fit. */
data class BenchmarkRequest(
    val bundle: String? = null, // folder name
    val iterations: Int? = null, // calls that count
    val seconds: Int? = null, // of the long run; 0: none
    val threads: Int? = null,
) {
    /** As a plan; numbers that would run for hours are cut. */
    fun plan(): BenchmarkPlan {
        val usual = BenchmarkPlan()
        return usual.copy(
            iterations = iterations?.coerceIn(1, MOST_ITERATIONS) ?: usual.iterations,
            sustainedSeconds = seconds?.coerceIn(0, MOST_SECONDS)?.toDouble() ?: usual.sustainedSeconds,
        )
    }

    /** Threads for [target] on [cores] cores; null where the backend decides. */
    fun threads(target: String, cores: Int): Int? =
        if (target == PROCESSOR) (threads ?: usualThreads(cores)).coerceIn(1, cores) else null

    companion object {
        /** The backend that computes on the processor. */
        private const val PROCESSOR = "xnnpack"
        private const val MOST_ITERATIONS = 10_000
        private const val MOST_SECONDS = 3_600

        /** Half of the cores, as ExecuTorch itself has it: the slow cores of a phone hold the others up. */
        fun usualThreads(cores: Int): Int = (cores / 2).coerceAtLeast(1)
    }
}
