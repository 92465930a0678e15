package action.mobile.app.live

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class RateMeterTest {
    private val meter = RateMeter(4)

    @Test
    fun `nothing has a rate before there are two`() {
        assertEquals(0.0, meter.rate)
        meter.add(5)
        assertEquals(0.0, meter.rate)
        meter.add(5)
        assertEquals(0.0, meter.rate)
    }

    @Test
    fun `the latest count`() {
        for (i in 0..9) meter.add(i * 1_000_000_000L)
        assertEquals(1.0, meter.rate, 1e-9)
        for (i in 1..3) meter.add(9_000_000_000L + i * 100_000_000L)
        assertEquals(10.0, meter.rate, 1e-9)
    }

    @Test
    fun `a pause or another clock starts anew`() {
        meter.add(0)
        meter.add(100_000_000)
        meter.add(60_000_000_000)
        assertEquals(0.0, meter.rate)
        meter.add(60_100_000_000)
        assertEquals(10.0, meter.rate, 1e-9)
        meter.add(50)
        assertEquals(0.0, meter.rate)
    }
}
