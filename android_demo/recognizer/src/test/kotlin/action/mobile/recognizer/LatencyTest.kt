package action.mobile.recognizer

import com.networknt.schema.InputFormat
import com.networknt.schema.SchemaRegistry
import com.networknt.schema.SpecificationVersion
import java.io.File
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

private const val MILLISECOND = 1_000_000L

class LatencyTest {
    private val bundle = Bundle.open(smallBundle())

    @Test
    fun `percentiles are nearest ranks`() {
        val ten = DoubleArray(10) { it + 1.0 }
        assertEquals(listOf(1.0, 5.0, 9.0, 10.0, 10.0), listOf(1, 50, 90, 99, 100).map { nearestRank(ten, 10, it) })
        assertEquals(7.0, nearestRank(doubleArrayOf(7.0), 1, 1))
        assertEquals(2.0, nearestRank(doubleArrayOf(1.0, 2.0, 3.0), 3, 50))
        // The first hundred of a larger array count.
        val more = DoubleArray(200) { it.toDouble() }
        assertEquals(98.0, nearestRank(more, 100, 99))
    }

    @Test
    fun `a summary is the one that Python gives`() {
        // mobile_export.latency.stats.summary([3, 1, 2, 10, 0.12345, 1e-5])
        val found = summary(doubleArrayOf(3.0, 1.0, 2.0, 10.0, 0.12345, 1e-5))
        assertEquals(StageSummary(6, 0.0, 2.6872, 1.0, 10.0, 10.0, 3.4324), found)
        assertThrows(IllegalArgumentException::class.java) { summary(doubleArrayOf()) }
        assertEquals(0.0, summary(DoubleArray(1000) { 0.1 }).std)
        assertEquals(listOf(0.0312, 0.0938), listOf(rounded(0.03125), rounded(0.09375))) // ties go to even
    }

    @Test
    fun `the recorder keeps the latest frames in order`() {
        val recorder = LatencyRecorder(3)
        assertNull(recorder.summaries())
        for (i in 1L..5) recorder.add(i * MILLISECOND, 10 * MILLISECOND, 0)
        assertArrayEquals(doubleArrayOf(13.0, 14.0, 15.0), recorder.endToEnd())
        assertEquals(4.0, recorder.summaries()?.preprocess?.p50)
    }

    /** A clock that goes on by three milliseconds whenever it is read. */
    private class SlowClock : Clock {
        private var now = 0L

        override fun nanos(): Long = now.also { now += 3 * MILLISECOND }
    }

    private class FakeProbe : Probe {
        override fun residentBytes() = 1000L

        override fun peakBytes(): Long? = null

        override fun thermal() = Thermal("light", 31.5)

        override fun powerMode() = "normal"

        override fun battery() = Battery(0.5, false)
    }

    @Test
    fun `a benchmark measures every stage and writes a valid report`() {
        val plan = BenchmarkPlan(warmup = 2, iterations = 50, sustainedSeconds = 2.5)
        val program = CountingProgram()
        val source = GoldenFrames(bundle, 32, 24)
        val told = ArrayList<Double>()
        val benchmark = Benchmark(bundle, source, FakeProbe(), plan, SlowClock())
        val run = checkNotNull(benchmark.run(Candidate("the driver is gone", null) { program }) { told.add(it) })
        assertTrue(program.closed)
        assertEquals(50, run.endToEndMs.size)
        assertEquals(3.0, run.coldLoadMs)
        assertNull(run.warmLoadMs)
        assertEquals(StageSummary(50, 9.0, 9.0, 9.0, 9.0, 9.0, 0.0), run.stages.endToEnd)
        val sustained = checkNotNull(run.sustained)
        assertEquals(3, sustained.points.size)
        assertEquals(sustained.calls, sustained.points.sumOf { it.calls })
        assertTrue(sustained.seconds in 2.5..2.6)
        assertEquals(told.sorted(), told)
        assertTrue(told.isNotEmpty() && told.all { it in 0.0..1.0 })
        val tools = mapOf("executorch" to "1.5.1")
        val text = latencyReport(
            "Pixel 8", 1_700_000_000_123, device(), bundle.manifest, source.facts, listOf(run), tools,
        )
        assertEquals(emptyList<Any>(), schema().validate(text, InputFormat.JSON))
        val report = jsonObject(text)
        assertEquals("2023-11-14T22:13:20Z", report["created"])
        assertEquals(1.0, report.child("artifact")["delegated_share"])
        val input = mapOf("source" to source.facts.source, "width" to 32.0, "height" to 24.0, "frames" to 3.0)
        assertEquals(input, report["input"])
    }

    @Test
    fun `a report without what a system does not tell is valid too`() {
        val nothing = object : Probe {
            override fun residentBytes(): Long? = null

            override fun peakBytes(): Long? = null

            override fun thermal() = Thermal()

            override fun powerMode(): String? = null

            override fun battery(): Battery? = null
        }
        val plan = BenchmarkPlan(warmup = 0, iterations = 1, sustainedSeconds = 0.0)
        val candidate = Candidate(null, 2, coldLoadMs = 12.5) { CountingProgram() }
        val run = checkNotNull(Benchmark(bundle, GoldenFrames(bundle, 16, 16), nothing, plan).run(candidate) { true })
        assertEquals(12.5, run.coldLoadMs)
        assertTrue(checkNotNull(run.warmLoadMs) >= 0.0) // this measurement's own load
        assertNull(run.sustained)
        val camera = InputFacts("camera", 640, 480, null)
        val device = device().copy(soc = null, memoryBytes = null)
        val text = latencyReport("\"é\"", 0, device, bundle.manifest, camera, listOf(run, run), emptyMap())
        assertEquals(emptyList<Any>(), schema().validate(text, InputFormat.JSON))
        assertThrows(IllegalArgumentException::class.java) {
            latencyReport("x", 0, device, bundle.manifest, camera, emptyList(), emptyMap())
        }
    }

    @Test
    fun `a benchmark that is told to stop stops and closes its program`() {
        val program = CountingProgram()
        val plan = BenchmarkPlan(iterations = 1000)
        val benchmark = Benchmark(bundle, GoldenFrames(bundle, 16, 16), FakeProbe(), plan, SlowClock())
        assertNull(benchmark.run(Candidate(null, null) { program }) { false })
        assertTrue(program.closed)
        assertTrue(program.calls < 100)
    }

    @Test
    fun `the golden clip as a camera's picture comes back as it was`() {
        val frames = GoldenFrames(bundle, 40, 32)
        val pixels = pixelsOf(frames.frame(GOLDEN_FRAMES.toLong()), bundle.manifest.input, frames.rotation, false)
        val golden = bundle.goldenPixels()
        // Enlarging blurs, and four pixels share their colour: the picture is the same, not its details.
        val means = listOf(pixels.average(), (0 until 3 * SIDE * SIDE).map { golden[it].toInt() and 0xff }.average())
        assertEquals(means[1], means[0], 6.0)
        assertNotNull(frames.facts)
    }

    private fun device() = DeviceFacts("Pixel 8", "Tensor G3", 9, 8L shl 30, "Android", "15", "google/shiba/1")

    /** The schema; the validator takes no relative `$id`. */
    private fun schema() = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12).getSchema(
        Json.write(jsonObject(File(repository, "mobile_export/bundle/latency.schema.json").readText()) - "\$id"),
    )
}
