package action.mobile.app.camera

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LastOneOutTest {
    private var freed = 0
    private val shared = LastOneOut { freed++ }

    @Test
    fun `it is freed by the last one that puts it down`() {
        assertTrue(shared.take())
        assertTrue(shared.take())
        shared.finish()
        shared.putDown()
        assertEquals(0, freed)
        shared.putDown()
        assertEquals(1, freed)
    }

    @Test
    fun `it is freed at once when nobody has it, and only once`() {
        shared.finish()
        shared.finish()
        assertEquals(1, freed)
        assertFalse(shared.take())
    }

    @Test
    fun `it stays while it is in use by and by`() {
        shared.take()
        shared.putDown()
        assertEquals(0, freed)
    }
}
