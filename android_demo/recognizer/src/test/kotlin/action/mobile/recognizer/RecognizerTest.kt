package action.mobile.recognizer

import java.nio.ByteOrder
import java.nio.FloatBuffer
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotSame
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

private const val FRAMES = 100_000
private const val TICK = 100_000_000L // nanoseconds

class RecognizerTest {
    private val manifest = Bundle.open(smallBundle()).manifest

    @Test
    fun `state goes out of one set of buffers into the other`() {
        val seen = ArrayList<List<FloatBuffer>>()
        val program = object : CountingProgram() {
            override fun run(inputs: Array<FloatBuffer>, outputs: Array<FloatBuffer>) {
                seen.add(inputs.toList() + outputs.toList())
                super.run(inputs, outputs)
            }
        }
        val session = StreamSession(manifest, program)
        session.fill(0.5f)
        assertArrayEquals(floatArrayOf(0.5f, 2f, 0f), session.step())
        assertArrayEquals(floatArrayOf(0.5f, 1.5f, 0.01f), session.step())
        assertArrayEquals(floatArrayOf(0.5f, 1.5f, 0.02f), session.step())
        val (first, second, third) = seen
        // The order of the outputs is b, a; what came out goes in, and each set comes back.
        assertSame(first[5], second[1])
        assertSame(first[4], second[2])
        for (i in first.indices) assertSame(first[i], third[i])
        for (i in 1..2) for (j in 4..5) assertNotSame(first[i], first[j])
        for (buffer in first) assertTrue(buffer.isDirect)
        session.reset()
        assertArrayEquals(floatArrayOf(0.5f, 2f, 0f), session.step())
    }

    @Test
    fun `a buffer shows its own values and not what is spare behind them`() {
        val buffer = directFloats(5)
        assertEquals(5, buffer.capacity())
        assertEquals(5, buffer.remaining())
        assertEquals(ByteOrder.nativeOrder(), buffer.order())
        for (i in 0 until 5) assertEquals(0f, buffer.get(i))
    }

    @Test
    fun `a call that fails leaves the state as it was`() {
        var broken = false
        val program = object : CountingProgram() {
            override fun run(inputs: Array<FloatBuffer>, outputs: Array<FloatBuffer>) {
                super.run(inputs, outputs)
                if (broken) outputs[0].put(1, Float.POSITIVE_INFINITY)
            }
        }
        val session = StreamSession(manifest, program)
        session.fill(0.5f)
        session.step()
        broken = true
        val error = assertThrows(ProgramException::class.java) { session.step() }
        assertTrue("fake gives logits that are not finite" in error.message!!)
        broken = false
        assertArrayEquals(floatArrayOf(0.5f, 1.5f, 0.01f), session.step())
    }

    private fun StreamSession.fill(value: Float) {
        for (i in 0 until frame.capacity()) frame.put(i, value)
    }

    @Test
    fun `frames between ticks are passed over, gaps counted, long ones reset`() {
        val program = CountingProgram()
        val recognizer = Recognizer(manifest, program)
        val bright = grey(255)
        val offers = (0 until 30).map { recognizer.offer(it * TICK / 3, bright, 0) != null }
        assertEquals(10, offers.count { it })
        assertEquals("Left", recognizer.offer(10 * TICK, bright, 0)?.answer?.current)
        val late = checkNotNull(recognizer.offer(13 * TICK, bright, 0))
        assertEquals(2, late.missed)
        assertNull(late.ended)
        val after = checkNotNull(recognizer.offer(30 * TICK, bright, 0))
        assertTrue(after.reset)
        assertEquals(16, after.missed)
        assertEquals(0.0f, program.lastCount) // the state began anew
        val ended = checkNotNull(after.ended)
        assertEquals("Left", ended.label)
        assertEquals(0.0, ended.start)
        assertEquals(1.3, ended.end)
        val back = checkNotNull(recognizer.offer(0, grey(0), 0))
        assertTrue(back.reset)
        assertEquals(listOf(14L, 18L, 2L), listOf(recognizer.taken, recognizer.missed, recognizer.resets))
        assertNull(recognizer.forget())
        // A pause is no missed ticks, and no reset of its own.
        assertFalse(checkNotNull(recognizer.offer(900 * TICK, bright, 0)).reset)
        assertEquals(listOf(15L, 18L, 2L), listOf(recognizer.taken, recognizer.missed, recognizer.resets))
    }

    private val CountingProgram.lastCount: Float get() = counts.last()

    @Test
    fun `an event ends when its label stops winning`() {
        val recognizer = Recognizer(manifest, CountingProgram())
        val answers = (0L until 12).map { i ->
            val moment = checkNotNull(recognizer.offer(i * TICK, grey(if (i < 6) 255 else 0), 90, mirrored = true))
            Triple(moment.answer.started, moment.answer.current, moment.ended)
        }
        assertEquals("Left", answers[1].first)
        assertEquals(List(6) { "Left" }, answers.slice(1..6).map { it.second })
        val ended = answers.mapNotNull { it.third }.single()
        assertEquals("Left", ended.label)
        assertEquals(0.0, ended.start)
    }

    @Test
    fun `stages add up`() {
        var now = 0L
        val recognizer = Recognizer(manifest, CountingProgram()) { now.also { now += 7 } }
        val moment = checkNotNull(recognizer.offer(0, grey(9), 0))
        val stages = listOf(moment.preprocessNanos, moment.executeNanos, moment.postprocessNanos)
        assertEquals(listOf(7L, 7L, 7L, 21L), stages + moment.totalNanos)
    }

    @Test
    fun `a hundred thousand frames allocate nothing but their events`() {
        val program = object : CountingProgram() {
            override fun remember(count: Float) = Unit
        }
        val recognizer = Recognizer(manifest, program)
        val recorder = LatencyRecorder(200)
        val frames = arrayOf(grey(255), grey(0))
        var events = 0
        fun run(from: Int, to: Int) {
            for (i in from until to) {
                val moment = checkNotNull(recognizer.offer(i * TICK, frames[i / 20 % 2], 0))
                recorder.add(moment)
                if (moment.ended != null) events++
            }
        }
        run(0, 5_000)
        events = 0
        val before = allocatedBytes()
        run(5_000, 5_000 + FRAMES)
        val bytes = allocatedBytes() - before
        println("$FRAMES frames through a recognizer: $bytes bytes allocated, $events events")
        assertTrue(events > 1000)
        assertEquals(200, recorder.count)
        assertTrue(bytes < events * 64 + FRAMES) { "$bytes bytes in $FRAMES frames with $events events" }
    }
}
