package action.mobile.recognizer

import java.nio.ByteBuffer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

private const val APART = 1.0 // of 255: what two implementations may differ by
private const val SAME = 0.995 // of all values; shrunk pictures are to the bit but for a few ties
private const val ROUNDING = 1e-3 // of 255: of floats
private const val ALLOCATED = 64 // bytes a frame, on average: none but what the JVM itself does

class PreprocessorTest {
    private val data = resource("pictures.bin.gz")

    @TestFactory
    fun `pictures come out as Python makes them`(): List<DynamicTest> =
        jsonObject(String(resource("pictures.json"))).objects("cases").flatMap { case ->
            val title = "${case["name"]} ${case.int("width")}x${case.int("height")} to ${case.int("size")}, " +
                "turned ${case.int("rotation")}, mirrored ${case["mirrored"]}, crop ${case["crop"]}"
            Layout.values().flatMap { layout ->
                listOf(true, false).map { last -> dynamicTest("$title, $layout, $last") { compare(case, layout, last) } }
            }
        }

    @Test
    fun `pixels are those of Python, not only close to them`() {
        var equal = 0
        var all = 0
        for (case in jsonObject(String(resource("pictures.json"))).objects("cases")) {
            val frame = frameOf(case, Layout.NV21)
            val pixels = pixelsOf(frame, inputSpec(case.int("size")), case.int("rotation"), case["mirrored"] as Boolean)
            equal += pixels.indices.count { Math.round(pixels[it]).toInt() == byte(case.int("expected") + it) }
            all += pixels.size
        }
        println("pre-processing: ${all - equal} of $all values are not Python's")
        assertTrue(equal >= SAME * all) { "$equal of $all are equal" }
    }

    private fun byte(at: Int) = data[at].toInt() and 0xff

    private fun frameOf(case: Map<String, Any?>, layout: Layout): YuvFrame {
        val crop = (case["crop"] as List<*>?)?.map { (it as Double).toInt() }?.let { (l, t, r, b) -> Crop(l, t, r, b) }
        return yuvFrame(data, case.int("picture"), case.int("width"), case.int("height"), layout, crop)
    }

    private fun compare(case: Map<String, Any?>, layout: Layout, last: Boolean) {
        val size = case.int("size")
        val pixels = pixelsOf(frameOf(case, layout), inputSpec(size, last), case.int("rotation"), case["mirrored"] as Boolean)
        val from = case.int("expected")
        val worst = pixels.indices.maxOf { Math.abs(pixels[it] - byte(from + it)) }
        assertTrue(worst <= APART + ROUNDING) { "$worst of 255 apart" }
    }

    @Test
    fun `left stays left`() {
        // Left half black, right half white, as the person's own eyes would see the picture.
        val right = picture(96, 64) { x, _ -> if (x < 48) 0 else 255 }
        assertEquals(listOf(0, 255), sides(right, 0, mirrored = false))
        // A source that delivers the mirrored picture is mirrored back.
        val mirror = picture(96, 64) { x, _ -> if (x < 48) 255 else 0 }
        assertEquals(listOf(0, 255), sides(mirror, 0, mirrored = true))
        // A phone upright: the sensor's picture lies on its side, its top is the upright one's right.
        val lying = picture(96, 64) { _, y -> if (y < 32) 255 else 0 }
        assertEquals(listOf(0, 255), sides(lying, 90, mirrored = false))
        // A front camera's sensor, which is built in the other way round.
        val front = picture(96, 64) { _, y -> if (y < 32) 0 else 255 }
        assertEquals(listOf(0, 255), sides(front, 270, mirrored = false))
        val mirroredFront = picture(96, 64) { _, y -> if (y < 32) 255 else 0 }
        assertEquals(listOf(0, 255), sides(mirroredFront, 270, mirrored = true))
    }

    @Test
    fun `the half of a picture is that of the person in it`() {
        // Black where the person's right is: at the left of a picture that is no mirror.
        val lying = picture(96, 64) { _, y -> if (y < 32) 255 else 0 }
        val turned = picture(96, 64) { _, y -> if (y < 32) 0 else 255 }
        for (
            (frame, rotation, mirrored) in listOf(
                Triple(picture(96, 64) { x, _ -> if (x < 48) 0 else 255 }, 0, false),
                Triple(picture(96, 64) { x, _ -> if (x < 48) 255 else 0 }, 180, false),
                Triple(picture(96, 64) { x, _ -> if (x < 48) 255 else 0 }, 0, true),
                Triple(lying, 90, false),
                Triple(turned, 90, true),
                Triple(turned, 270, false),
                Triple(lying, 270, true),
            )
        ) {
            for ((part, value) in listOf(Part.RIGHT to 0, Part.LEFT to 255)) {
                val half = frame.part(Seen(mirrored, part), rotation)
                assertEquals(listOf(value, value), sides(half, rotation, mirrored), "$part, $rotation, $mirrored")
            }
            assertTrue(frame.part(Seen(mirrored), rotation) === frame)
        }
    }

    @Test
    fun `a region lies in the crop, turned as the picture is`() {
        val whole = Crop(10, 20, 110, 80) // 100 x 60
        val region = Region(0.1, 0.25, 0.5, 0.5)
        assertEquals(Crop(20, 35, 70, 65), cropOf(region, 0, whole))
        assertEquals(Crop(35, 44, 85, 74), cropOf(region, 90, whole))
        assertEquals(Crop(50, 35, 100, 65), cropOf(region, 180, whole))
        assertEquals(Crop(35, 26, 85, 56), cropOf(region, 270, whole))
        for (wrong in listOf(listOf(0.6, 0.0, 0.5, 1.0), listOf(0.0, 0.0, 0.05, 1.0), listOf(-0.1, 0.0, 1.0, 1.0))) {
            val (x, y, w, h) = wrong
            assertThrows(IllegalArgumentException::class.java) { Region(x, y, w, h) }
        }
    }

    /** Values of the upright picture's left and right side. */
    private fun sides(frame: YuvFrame, rotation: Int, mirrored: Boolean): List<Int> {
        val pixels = pixelsOf(frame, inputSpec(16), rotation, mirrored)
        return listOf(pixels[8 * 16 + 1], pixels[8 * 16 + 14]).map { Math.round(it).toInt() }
    }

    private fun picture(width: Int, height: Int, luma: (Int, Int) -> Int): YuvFrame {
        val bytes = ByteArray(i420Size(width, height)) { 128.toByte() }
        for (y in 0 until height) for (x in 0 until width) bytes[y * width + x] = luma(x, y).toByte()
        return yuvFrame(bytes, 0, width, height, Layout.NV12)
    }

    @Test
    fun `a plain colour stays the same in every size`() {
        for ((width, height) in listOf(640 to 480, 1280 to 720, 31 to 17, 7 to 211)) {
            val frame = picture(width, height) { _, _ -> 201 }
            val pixels = pixelsOf(frame, inputSpec(112), 0, false)
            assertTrue(pixels.all { Math.abs(it - 201) < ROUNDING })
        }
    }

    @Test
    fun `nothing is allocated for a frame`() {
        val spec = inputSpec(112)
        val preprocessor = Preprocessor(spec)
        val target = directFloats(spec.tensor.size)
        val frames = List(4) { seed -> picture(640, 480) { x, y -> (x * 7 + y * 3 + seed * 11) and 0xff } }
        fun run(count: Int, turn: Int) = repeat(count) { preprocessor.process(frames[it % 4], turn, it % 2 == 0, target) }
        for (turn in listOf(90, 0, 270, 180)) run(100, turn)
        for (turn in listOf(0, 90)) {
            val before = allocatedBytes()
            val began = System.nanoTime()
            run(400, turn)
            val nanos = System.nanoTime() - began
            val bytes = allocatedBytes() - before
            println("pre-processing 640x480, turned $turn: ${"%.2f".format(nanos / 400e6)} ms, ${bytes / 400} bytes a frame")
            assertTrue(bytes <= 400 * ALLOCATED) { "$bytes bytes in 400 frames" }
        }
    }

    @Test
    fun `what cannot be a picture is refused in one line`() {
        val spec = inputSpec(16)
        val frame = picture(32, 32) { _, _ -> 0 }
        refused("45 degrees") { Preprocessor(spec).process(frame, 45, false, directFloats(spec.tensor.size)) }
        refused("7 floats") { Preprocessor(spec).process(frame, 0, false, directFloats(7)) }
        val small = ByteBuffer.allocateDirect(10)
        refused("plane Y has 10 bytes") { YuvFrame(4, 4, Plane(small, 4, 1), frame.u, frame.v) }
        refused("do not fit") { YuvFrame(32, 32, Plane(frame.y.buffer, 31, 1), frame.u, frame.v) }
        refused("lies outside") { YuvFrame(32, 32, frame.y, frame.u, frame.v, Crop(0, 0, 33, 32)) }
        refused("has no pixel") { YuvFrame(32, 32, frame.y, frame.u, frame.v, Crop(5, 5, 5, 6)) }
    }

    private fun refused(reason: String, call: () -> Unit) {
        val error = assertThrows(IllegalArgumentException::class.java, call)
        assertTrue(reason in error.message!!) { error.message }
    }
}

/** What the program is given, back as values of a byte: (3, size, size), flat. */
fun pixelsOf(frame: YuvFrame, spec: InputSpec, rotation: Int, mirrored: Boolean): DoubleArray {
    val target = directFloats(spec.tensor.size)
    Preprocessor(spec).process(frame, rotation, mirrored, target)
    val area = spec.size * spec.size
    val last = spec.tensor.dimOrder == listOf(0, 2, 3, 1)
    return DoubleArray(3 * area) {
        val colour = it / area
        val value = target.get(if (last) it % area * 3 + colour else it)
        255 * (value * spec.std[colour] + spec.mean[colour])
    }
}
