package action.mobile.recognizer

import java.nio.ByteBuffer
import kotlin.math.floor

/**
 * The golden clip as a camera would give it, for a benchmark that needs none: enlarged to the height
 * of the picture, its edges continued to both sides, in YUV 4:2:0 (Y, then U and V in turn).
 *
 * All frames are made at once, [width] * [height] * 1.5 bytes each. The picture is as wide as high or
 * wider. Throws [BundleException] when the golden clip cannot be read.
 */
class GoldenFrames(bundle: Bundle, private val width: Int = 640, private val height: Int = 480) : FrameSource {
    init {
        require(width >= height && height > 0) { "a picture of $width x $height pixels is higher than wide" }
    }

    private val size = bundle.manifest.input.size
    private val pixels = bundle.goldenPixels()

    override val facts =
        InputFacts("golden clip, enlarged to ${width}x$height", width, height, bundle.manifest.golden.frames)
    override val rotation = 0

    private val frames = List(bundle.manifest.golden.frames) { yuvOf(it) }

    override fun frame(index: Long): YuvFrame = frames[(index % frames.size).toInt()]

    private fun yuvOf(frame: Int): YuvFrame {
        val luma = ByteBuffer.allocateDirect(width * height)
        for (y in 0 until height) {
            for (x in 0 until width) {
                luma.put(y * width + x, lumaOf(red(frame, x, y), green(frame, x, y), blue(frame, x, y)))
            }
        }
        val columns = (width + 1) / 2
        val rows = (height + 1) / 2
        val chroma = ByteBuffer.allocateDirect(2 * columns * rows)
        for (y in 0 until rows) {
            for (x in 0 until columns) {
                val (r, g, b) = listOf(red(frame, 2 * x, 2 * y), green(frame, 2 * x, 2 * y), blue(frame, 2 * x, 2 * y))
                chroma.put(2 * (y * columns + x), byte(128 - 0.168736 * r - 0.331264 * g + 0.5 * b))
                chroma.put(2 * (y * columns + x) + 1, byte(128 + 0.5 * r - 0.418688 * g - 0.081312 * b))
            }
        }
        val v = chroma.duplicate().apply { position(1) }.slice()
        return YuvFrame(
            width, height, Plane(luma, width, 1), Plane(chroma, 2 * columns, 2), Plane(v, 2 * columns, 2),
        )
    }

    private fun lumaOf(r: Double, g: Double, b: Double) = byte(0.299 * r + 0.587 * g + 0.114 * b)

    private fun byte(value: Double) = Math.round(value).coerceIn(0, 255).toByte()

    private fun red(frame: Int, x: Int, y: Int) = value(frame, 0, x, y)

    private fun green(frame: Int, x: Int, y: Int) = value(frame, 1, x, y)

    private fun blue(frame: Int, x: Int, y: Int) = value(frame, 2, x, y)

    /** The golden frame's colour at pixel (x, y) of the enlarged picture, bilinear. */
    private fun value(frame: Int, colour: Int, x: Int, y: Int): Double {
        val scale = size.toDouble() / height
        val column = ((x - (width - height) / 2 + 0.5) * scale - 0.5).coerceIn(0.0, size - 1.0)
        val row = ((y + 0.5) * scale - 0.5).coerceIn(0.0, size - 1.0)
        val left = floor(column).toInt()
        val top = floor(row).toInt()
        val right = minOf(left + 1, size - 1)
        val bottom = minOf(top + 1, size - 1)
        val upper = mix(at(frame, colour, left, top), at(frame, colour, right, top), column - left)
        val lower = mix(at(frame, colour, left, bottom), at(frame, colour, right, bottom), column - left)
        return mix(upper, lower, row - top)
    }

    private fun at(frame: Int, colour: Int, x: Int, y: Int): Double =
        (pixels[((frame * 3 + colour) * size + y) * size + x].toInt() and 0xff).toDouble()

    private fun mix(a: Double, b: Double, share: Double) = a + (b - a) * share
}
