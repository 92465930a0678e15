package action.mobile.app.camera

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test

class CameraChoiceTest {
    private val sizes = listOf(
        PictureSize(4000, 3000), PictureSize(1920, 1080), PictureSize(1280, 960), PictureSize(1280, 720),
        PictureSize(640, 480), PictureSize(320, 240), PictureSize(352, 288), PictureSize(176, 144),
    )

    private fun camera(id: String, front: Boolean, analysis: List<PictureSize> = sizes, preview: List<PictureSize> = sizes) =
        CameraFacts(id, front, if (front) 270 else 90, analysis, preview)

    @Test
    fun `the front camera is preferred and any other is taken`() {
        assertEquals("1", choosePlan(listOf(camera("0", false), camera("1", true)), 112)?.id)
        assertEquals("0", choosePlan(listOf(camera("0", false)), 112)?.id)
        assertNull(choosePlan(emptyList(), 112))
        assertNull(choosePlan(listOf(camera("0", true, analysis = emptyList())), 112))
        assertEquals("0", choosePlan(listOf(camera("0", false), camera("1", true, preview = emptyList())), 112)?.id)
    }

    @Test
    fun `the model's picture is the smallest of 4 to 3 that has twice its detail`() {
        assertEquals(PictureSize(320, 240), choosePlan(listOf(camera("0", true)), 112)?.analysis)
        assertEquals(PictureSize(640, 480), choosePlan(listOf(camera("0", true)), 224)?.analysis)
        // No 4:3 at all, or none that is large enough: what there is.
        val wide = listOf(PictureSize(1280, 720), PictureSize(640, 360))
        assertEquals(PictureSize(640, 360), choosePlan(listOf(camera("0", true, wide)), 112)?.analysis)
        val small = listOf(PictureSize(176, 144), PictureSize(160, 120))
        assertEquals(PictureSize(176, 144), choosePlan(listOf(camera("0", true, small)), 112)?.analysis)
    }

    @Test
    fun `the preview has the shape of the model's picture and the size of a screen`() {
        assertEquals(PictureSize(1280, 960), choosePlan(listOf(camera("0", true)), 112)?.preview)
        val huge = listOf(PictureSize(4000, 3000), PictureSize(1280, 720))
        assertEquals(PictureSize(1280, 720), choosePlan(listOf(camera("0", true, preview = huge)), 112)?.preview)
    }

    @Test
    fun `sizes that a camera need not deliver twice at once are the last resort`() {
        val tall = listOf(PictureSize(1600, 1200), PictureSize(640, 480), PictureSize(1920, 1080))
        assertEquals(PictureSize(640, 480), choosePlan(listOf(camera("0", true, preview = tall)), 112)?.preview)
        val odd = listOf(PictureSize(4000, 3000), PictureSize(1280, 720))
        assertEquals(PictureSize(1280, 720), choosePlan(listOf(camera("0", true, odd)), 112)?.analysis)
        val only = listOf(PictureSize(4000, 3000))
        assertEquals(only.single(), choosePlan(listOf(camera("0", true, only, only)), 112)?.analysis)
        assertEquals(only.single(), choosePlan(listOf(camera("0", true, only, only)), 112)?.preview)
    }

    @Test
    fun `pictures are turned by the sensor less the display, and by their sum in front`() {
        // A phone: sensor at 90 behind and 270 in front; held upright, on its left side, on its right.
        assertEquals(90, uprightRotation(90, 0, front = false))
        assertEquals(0, uprightRotation(90, 90, front = false))
        assertEquals(180, uprightRotation(90, 270, front = false))
        assertEquals(270, uprightRotation(270, 0, front = true))
        assertEquals(0, uprightRotation(270, 90, front = true))
        assertEquals(180, uprightRotation(270, 270, front = true))
        assertEquals(90, uprightRotation(270, 180, front = true))
    }

    @Test
    fun `a picture is seen upright`() {
        assertEquals(PictureSize(3, 4), seen(PictureSize(4, 3), 270, 0))
        assertEquals(PictureSize(4, 3), seen(PictureSize(4, 3), 270, 90))
        assertEquals(PictureSize(4, 3), seen(PictureSize(4, 3), 0, 180))
    }
}
