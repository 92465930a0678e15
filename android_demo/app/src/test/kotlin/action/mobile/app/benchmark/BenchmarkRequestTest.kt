package action.mobile.app.benchmark

import action.mobile.recognizer.BenchmarkPlan
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test

class BenchmarkRequestTest {
    @Test
    fun `what is not asked for is as usual`() {
        assertEquals(BenchmarkPlan(), BenchmarkRequest().plan())
    }

    @Test
    fun `numbers of a script are cut to what makes sense`() {
        val plan = BenchmarkRequest(iterations = 50, seconds = 0).plan()
        assertEquals(50, plan.iterations)
        assertEquals(0.0, plan.sustainedSeconds)
        val silly = BenchmarkRequest(iterations = Int.MAX_VALUE, seconds = -5).plan()
        assertEquals(10_000, silly.iterations)
        assertEquals(0.0, silly.sustainedSeconds)
    }

    @Test
    fun `threads are the processor's alone`() {
        assertEquals(4, BenchmarkRequest().threads("xnnpack", 8))
        assertEquals(1, BenchmarkRequest().threads("xnnpack", 1))
        assertEquals(2, BenchmarkRequest(threads = 2).threads("xnnpack", 8))
        assertEquals(8, BenchmarkRequest(threads = 99).threads("xnnpack", 8))
        assertEquals(1, BenchmarkRequest(threads = 0).threads("xnnpack", 8))
        assertNull(BenchmarkRequest(threads = 2).threads("vulkan", 8))
    }
}
