package action.mobile.recognizer

/** Where a benchmark's frames come from. */
interface FrameSource {
    /** What the report says of them. */
    val facts: InputFacts

    /** How far they have to be turned clockwise to stand upright, degrees. */
    val rotation: Int

    /** Frame number [index] of an endless series; its time is not counted. */
    fun frame(index: Long): YuvFrame
}

/** What only the system can tell; each answer may be null or `unknown`. */
interface Probe {
    fun residentBytes(): Long?

    fun peakBytes(): Long?

    fun thermal(): Thermal

    fun powerMode(): String?

    fun battery(): Battery?
}

/** How much is measured. */
data class BenchmarkPlan(
    val warmup: Int = 20, // calls after the first that do not count
    val iterations: Int = 200, // calls that count
    val sustainedSeconds: Double = 60.0, // of the long run; 0: none
)

/** A program for a benchmark, and what the report says of it. */
data class Candidate(
    val fallback: String?, // why another backend than the artifact's first choice runs
    val threads: Int?, // null: the backend decides
    val coldLoadMs: Double? = null, // of the process's first load, where that was an earlier one
    val open: () -> Program, // loads it; this is timed
)

/**
 * Runs a [BenchmarkPlan]: load, first inference, warm-up, counted calls and a long run, with memory
 * and heat. Blocks for its whole length: give it a thread of its own.
 */
class Benchmark(
    private val bundle: Bundle,
    private val source: FrameSource,
    private val probe: Probe,
    private val plan: BenchmarkPlan = BenchmarkPlan(),
    private val clock: Clock = Clock.SYSTEM,
) {
    /**
     * Measures [candidate], whose program it opens and closes.
     *
     * [progress] is told the share that is done, 0 to 1, some times a second, and answers whether to
     * go on; null comes back when it did not. Throws [ProgramException].
     */
    fun run(candidate: Candidate, progress: (Double) -> Boolean): RunResult? {
        val before = probe.residentBytes()
        val thermalBefore = probe.thermal()
        val began = clock.nanos()
        candidate.open().use { program ->
            val loaded = clock.nanos() - began
            return measure(candidate, program, Start(before, thermalBefore, loaded), progress)
        }
    }

    private class Start(val residentBytes: Long?, val thermal: Thermal, val loadNanos: Long)

    private fun measure(
        candidate: Candidate,
        program: Program,
        start: Start,
        progress: (Double) -> Boolean,
    ): RunResult? {
        val calls = Calls(program)
        val first = calls.next().executeNanos
        repeat(plan.warmup) { calls.next() }
        val recorder = LatencyRecorder(plan.iterations)
        val telling = Telling(progress)
        for (i in 1..plan.iterations) {
            recorder.add(calls.next())
            if (!telling.goOn(counted = i, sustainedSeconds = 0.0)) return null
        }
        val steady = probe.residentBytes()
        val sustained = if (plan.sustainedSeconds > 0) sustain(calls, telling) ?: return null else null
        val load = rounded(start.loadNanos / NANOS_A_MILLISECOND)
        return RunResult(
            backend = program.name,
            fallback = candidate.fallback,
            threads = candidate.threads,
            warmup = plan.warmup,
            coldLoadMs = candidate.coldLoadMs ?: load,
            warmLoadMs = if (candidate.coldLoadMs == null) null else load,
            firstInferenceMs = rounded(first / NANOS_A_MILLISECOND),
            stages = checkNotNull(recorder.summaries()),
            endToEndMs = recorder.endToEnd(),
            memory = MemoryUse(start.residentBytes, steady, probe.peakBytes()),
            conditions = Conditions(start.thermal, probe.thermal(), probe.powerMode(), probe.battery()),
            sustained = sustained,
        )
    }

    /** Calls without pause, a point for every second; null when it was told to stop. */
    private fun sustain(calls: Calls, telling: Telling): Sustained? {
        val points = ArrayList<SustainedPoint>()
        var held = DoubleArray(HELD)
        var count = 0
        var total = 0
        val began = clock.nanos()
        var closed = began
        while (true) {
            if (count == held.size) held = held.copyOf(2 * count)
            held[count++] = calls.next().totalNanos / NANOS_A_MILLISECOND
            val now = clock.nanos()
            val seconds = (now - began) / NANOS_A_SECOND
            val last = seconds >= plan.sustainedSeconds
            if (last || now - closed >= NANOS_A_SECOND) {
                points.add(point(seconds, held, count))
                total += count
                count = 0
                closed = now
            }
            if (last) return Sustained(thousandths(seconds), total, points)
            if (!telling.goOn(plan.iterations, seconds)) return null
        }
    }

    private fun point(seconds: Double, held: DoubleArray, count: Int): SustainedPoint {
        held.sort(0, count)
        val (p50, p99) = listOf(50, 99).map { rounded(nearestRank(held, count, it)) }
        return SustainedPoint(thousandths(seconds), count, p50, p99)
    }

    private fun thousandths(seconds: Double) = Math.round(seconds * 1e3) / 1e3

    /** The stream that is measured: a frame at every tick, its state carried on. */
    private inner class Calls(program: Program) {
        private val recognizer = Recognizer(bundle.manifest, program, clock)
        private var index = 0L

        fun next(): Moment {
            val frame = source.frame(index)
            val due = index++ * NANOS_A_SECOND / bundle.manifest.input.frameRate
            return checkNotNull(recognizer.offer(Math.round(due), frame, source.rotation)) {
                "a frame at its tick is taken"
            }
        }
    }

    /** Tells the progress [TELL_NANOS] apart, so that the screen costs the measurement nothing. */
    private inner class Telling(private val progress: (Double) -> Boolean) {
        private var told = clock.nanos()

        fun goOn(counted: Int, sustainedSeconds: Double): Boolean {
            val now = clock.nanos()
            if (now - told < TELL_NANOS) return true
            told = now
            // A counted call is taken for a hundredth of a second: only the bar depends on it.
            val whole = plan.iterations * GUESS_SECONDS + plan.sustainedSeconds
            return progress((counted * GUESS_SECONDS + sustainedSeconds) / whole)
        }
    }

    private companion object {
        const val NANOS_A_MILLISECOND = 1e6
        const val NANOS_A_SECOND = 1e9
        const val TELL_NANOS = 250_000_000L
        const val GUESS_SECONDS = 0.01
        const val HELD = 4096 // calls of one interval; more than a second has
    }
}
