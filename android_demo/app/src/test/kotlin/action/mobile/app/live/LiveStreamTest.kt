package action.mobile.app.live

import action.mobile.app.FakeFrame
import action.mobile.app.FakeProgram
import action.mobile.app.Figures
import action.mobile.app.Queue
import action.mobile.app.TinyBundle
import action.mobile.recognizer.Event
import action.mobile.recognizer.Manifest
import action.mobile.recognizer.Part
import action.mobile.recognizer.Recognizer
import action.mobile.recognizer.Seen
import java.util.concurrent.Executor
import java.util.concurrent.Executors
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LiveStreamTest {
    private val manifest = Manifest.parse(TinyBundle("a").files().getValue("manifest.json").decodeToString())
    private val program = FakeProgram("xnnpack", TinyBundle.GOLDEN)
    private val worker = Queue()
    private val told = mutableListOf<Figures>()
    private val ended = mutableListOf<Event>()
    private val failures = mutableListOf<String>()

    private val listener = object : LiveListener {
        override fun recognized(figures: Figures, ended: Event?) {
            told += figures
            ended?.let { this@LiveStreamTest.ended += it }
        }

        override fun failed(line: String) {
            failures += line
        }
    }

    private fun stream(executor: Executor = worker) =
        LiveStream(Recognizer(manifest, program), manifest.labels, executor, listener)

    @Test
    fun `a frame that comes while the model is busy is dropped, counted and given back`() {
        val stream = stream()
        val frames = List(3) { FakeFrame(it * MS) }
        frames.forEach { stream.offer(it.frame) }
        assertEquals(listOf(0, 1, 1), frames.map { it.released })
        worker.runAll()
        assertEquals(listOf(1, 1, 1), frames.map { it.released })
        assertEquals(2, told.single().dropped)
        // It is free again.
        val next = FakeFrame(200 * MS)
        stream.offer(next.frame)
        worker.runAll()
        assertEquals(1, next.released)
        assertEquals(2, told.size)
    }

    @Test
    fun `frames between the ticks are passed over and given back`() {
        val stream = stream()
        val frames = List(31) { FakeFrame(it * 100 * MS / 3) } // 30 a second
        for (frame in frames) {
            stream.offer(frame.frame)
            worker.runAll()
        }
        assertEquals(List(31) { 1 }, frames.map { it.released })
        assertEquals(11, told.size)
        assertEquals(30.0, told.last().cameraRate, 0.1)
        assertEquals(10.0, told.last().recognizedRate, 0.1)
        assertEquals(0, told.last().dropped + told.last().missed + told.last().resets)
        assertNotNull(told.first().medians)
    }

    @Test
    fun `a gesture is shown with its own confidence and ends as an event`() {
        val stream = stream()
        program.logits = floatArrayOf(0f, 6f, 0f)
        repeat(3) { offer(stream, it) }
        assertEquals("Wave", told.last().gesture)
        assertEquals(0.995, told.last().confidence, 0.001)
        program.logits = floatArrayOf(20f, 0f, 0f)
        repeat(4) { offer(stream, 3 + it) }
        assertNull(told.last().gesture)
        assertEquals("Wave", ended.single().label)
    }

    @Test
    fun `what was seen before another part of the picture is another recording`() {
        val stream = stream()
        program.logits = floatArrayOf(0f, 6f, 0f)
        repeat(3) { offer(stream, it) }
        assertEquals("Wave", told.last().gesture)
        stream.seen = Seen(mirrored = true, part = Part.LEFT)
        offer(stream, 3)
        assertEquals("Wave", ended.single().label)
        assertNull(told.last().gesture)
    }

    @Test
    fun `what was seen before the device was turned is another recording`() {
        val stream = stream()
        program.logits = floatArrayOf(0f, 6f, 0f)
        repeat(3) { offer(stream, it) }
        offer(stream, 3, rotation = 270)
        assertEquals("Wave", ended.single().label)
        assertNull(told.last().gesture)
    }

    @Test
    fun `a pause ends the event that is open, and is no missed ticks`() {
        val stream = stream()
        stream.pause()
        worker.runAll()
        assertTrue(told.isEmpty())
        program.logits = floatArrayOf(0f, 6f, 0f)
        repeat(3) { offer(stream, it) }
        stream.pause()
        worker.runAll()
        assertEquals("Wave", ended.single().label)
        assertNull(told.last().gesture)
        repeat(3) { offer(stream, 3000 + it) }
        assertEquals("Wave", told.last().gesture)
        assertEquals(0L, told.last().missed + told.last().resets)
        stream.retire()
        stream.pause()
        worker.runAll()
        assertEquals(1, ended.size)
        stream { throw RejectedExecutionException() }.pause()
    }

    @Test
    fun `a program that fails is told once, and no frame is kept`() {
        val stream = stream()
        program.failure = "device lost"
        val frames = List(3) { offer(stream, it) }
        assertEquals(listOf("device lost"), failures)
        assertEquals(listOf(1, 1, 1), frames.map { it.released })
    }

    @Test
    fun `what the camera skipped counts as dropped`() {
        val stream = stream()
        stream.skipped()
        offer(stream, 0)
        assertEquals(1, told.single().dropped)
    }

    @Test
    fun `a frame is given back by an app that goes away`() {
        val frame = FakeFrame(0)
        stream { throw RejectedExecutionException() }.offer(frame.frame)
        assertEquals(1, frame.released)
    }

    @Test
    fun `between threads every frame is given back exactly once`() {
        val executor = Executors.newSingleThreadExecutor()
        val stream = stream(executor)
        val frames = List(20_000) { FakeFrame(it * 100 * MS) }
        for (frame in frames) stream.offer(frame.frame)
        executor.shutdown()
        assertTrue(executor.awaitTermination(1, TimeUnit.MINUTES))
        assertEquals(setOf(1), frames.map { it.released }.toSet())
        assertTrue(told.size in 1..frames.size)
        assertTrue(told.last().dropped <= frames.size - told.size)
    }

    private fun offer(stream: LiveStream, tick: Int, rotation: Int = 90): FakeFrame {
        val frame = FakeFrame(tick * 100 * MS, rotation)
        stream.offer(frame.frame)
        worker.runAll()
        return frame
    }

    private companion object {
        const val MS = 1_000_000L
    }
}
