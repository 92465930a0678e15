package action.mobile.recognizer

import java.io.File
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test

private const val LOGITS = 1e-3 // the same tensors through the same program
private const val SKIPPED = "skipped: needs a model; pytest tests/test_android.py prepares it and gives -Dfixtures=DIR"

/** The real model, executed by the native runner, between the Kotlin code before and after it. */
class EndToEndTest {
    private val folder = File(System.getProperty("fixtures").orEmpty())
    private lateinit var facts: Map<String, Any?>
    private lateinit var bundle: Bundle

    @BeforeEach
    fun prepare() {
        assumeTrue(folder.path.isNotEmpty(), SKIPPED)
        facts = jsonObject(File(folder, "fixtures.json").readText())
        bundle = Bundle.open(FolderFiles(File(facts["bundle"] as String)))
    }

    private fun program(): Program {
        val command = (facts["runner"] as List<*>).map { it as String }
        return RunnerProgram(command, File(facts["bundle"] as String, bundle.manifest.artifact.file))
    }

    @Test
    fun `a recording gives the events that Python gives`() = program().use { program ->
        val recognizer = Recognizer(bundle.manifest, program)
        val events = ArrayList<Event>()
        RandomAccessFile(File(folder, "recording.i420"), "r").use { file ->
            val width = facts.int("width")
            val height = facts.int("height")
            val data = ByteArray(i420Size(width, height))
            for ((i, time) in facts.numbers("times").withIndex()) {
                file.readFully(data)
                val layout = Layout.values()[i % Layout.values().size]
                val frame = yuvFrame(data, 0, width, height, layout)
                recognizer.offer(time.toLong(), frame, facts.int("rotation"))?.ended?.let { events.add(it) }
            }
        }
        recognizer.forget()?.let { events.add(it) }
        val expected = facts.objects("events")
        assertEquals(facts.int("ticks").toLong(), recognizer.taken)
        assertEquals(expected.map { it["label"] }, events.map { it.label })
        val tick = 1 / bundle.manifest.input.frameRate + 1e-6
        for ((wanted, event) in expected.zip(events)) {
            assertEquals(wanted["start"] as Double, event.start, tick)
            assertEquals(wanted["end"] as Double, event.end, tick)
        }
    }

    @Test
    fun `the same tensors give the same logits`() = program().use { program ->
        val session = StreamSession(bundle.manifest, program)
        val frames = floats("tensors.f32")
        val expected = floats("logits.f32")
        var worst = 0.0
        repeat(facts.int("tensors")) {
            for (i in 0 until session.frame.capacity()) session.frame.put(i, frames.get())
            for (value in session.step()) worst = maxOf(worst, Math.abs(value - expected.get()).toDouble())
        }
        assertEquals(0, frames.remaining() + expected.remaining())
        println("logits on identical tensors: at most $worst apart")
        assertTrue(worst <= LOGITS) { "$worst apart" }
    }

    private fun floats(name: String): FloatBuffer =
        ByteBuffer.wrap(File(folder, name).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()

    @Test
    fun `the golden clip passes`() = program().use { program ->
        val result = selfCheck(bundle, program)
        println("golden clip: $result")
        assertTrue(result.passed) { result.reason }
    }

    @Test
    fun `a benchmark of the model writes its report`() {
        val probe = object : Probe {
            override fun residentBytes(): Long? = null

            override fun peakBytes(): Long? = null

            override fun thermal() = Thermal()

            override fun powerMode(): String? = null

            override fun battery(): Battery? = null
        }
        val source = GoldenFrames(bundle)
        val plan = BenchmarkPlan(warmup = 5, iterations = 20, sustainedSeconds = 1.5)
        val run = checkNotNull(Benchmark(bundle, source, probe, plan).run(Candidate(null, 1) { program() }) { true })
        val device = DeviceFacts("test", null, 1, null, "Java", System.getProperty("java.version"), "", kind = "host")
        val tools = bundle.manifest.tools
        val text = latencyReport("native runner", 0, device, bundle.manifest, source.facts, listOf(run), tools)
        File(folder, "report.json").writeText(text)
        println("milliseconds: ${run.stages}")
    }
}
