package action.mobile.app.device

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test

class ReadingsTest {
    @Test
    fun `thermal states have the system's words`() {
        assertEquals("none", thermalWord(0))
        assertEquals("severe", thermalWord(3))
        assertEquals("shutdown", thermalWord(6))
        assertEquals("unknown", thermalWord(-1))
        assertEquals("unknown", thermalWord(7))
    }

    @Test
    fun `memory is read from the kernel's table`() {
        val status = "Name:\taction.mobile\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\nThreads:\t30\n"
        assertEquals(104_857_600, statusBytes(status, "VmRSS"))
        assertEquals(209_715_200, statusBytes(status, "VmHWM"))
        assertNull(statusBytes(status, "VmSwap"))
        assertNull(statusBytes(status, "Threads"))
        assertNull(statusBytes("", "VmRSS"))
    }

    @Test
    fun `a battery that does not know its level has none`() {
        assertEquals(0.42, batteryLevel(42))
        assertEquals(1.0, batteryLevel(100))
        assertNull(batteryLevel(Int.MIN_VALUE))
    }

    @Test
    fun `a device has its maker's name once`() {
        assertEquals("Google Pixel 8", modelName("Google", "Pixel 8"))
        assertEquals("Samsung SM-S921B", modelName("samsung", "SM-S921B"))
        assertEquals("Nothing Phone", modelName("nothing", "Nothing Phone"))
    }
}
