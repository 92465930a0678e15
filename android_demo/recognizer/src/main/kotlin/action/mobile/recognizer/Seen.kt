package action.mobile.recognizer

import kotlin.math.roundToInt

/**
 * A region of a picture as it is in the world, neither turned nor mirrored: parts of its sides, from the
 * upper left corner. The model takes the square in its middle.
 */
data class Region(val x: Double = 0.0, val y: Double = 0.0, val width: Double = 1.0, val height: Double = 1.0) {
    init {
        require(x >= 0 && y >= 0 && width >= LEAST && height >= LEAST && x + width <= 1 && y + height <= 1) {
            "region $x, $y, $width, $height leaves the picture or is too small"
        }
    }

    /** Where it lies in the picture seen in a mirror. */
    fun mirrored() = copy(x = 1 - x - width)

    private companion object {
        const val LEAST = 0.1
    }
}

/** The parts that the apps offer; left and right are those of the person in the picture, who faces it. */
enum class Part(val region: Region) {
    MIDDLE(Region()),
    LEFT(Region(x = 0.5, width = 0.5)),
    RIGHT(Region(width = 0.5)),
}

/** What of the source's pictures the model sees; [mirrored]: they come as in a mirror and are turned back. */
data class Seen(val mirrored: Boolean = false, val part: Part = Part.MIDDLE) {
    /** For keeping it; [of] reads it again. */
    fun noted() = "$part $mirrored"

    companion object {
        /** What [noted] gave; the default for anything else, such as a part that is no more. */
        fun of(noted: String?): Seen =
            Part.entries.flatMap { listOf(Seen(false, it), Seen(true, it)) }.find { it.noted() == noted } ?: Seen()
    }
}

/**
 * The frame with [seen]'s part of its crop alone; the frame itself when that is all of it. [rotation] is
 * how far it has to be turned clockwise to stand upright, as for [Preprocessor.process].
 */
fun YuvFrame.part(seen: Seen, rotation: Int): YuvFrame {
    if (seen.part == Part.MIDDLE) return this
    val region = seen.part.region.let { if (seen.mirrored) it.mirrored() else it }
    return YuvFrame(width, height, y, u, v, cropOf(region, rotation, crop))
}

/** A region of the upright picture, as it lies in the [whole] that is not turned yet. */
internal fun cropOf(region: Region, rotation: Int, whole: Crop): Crop {
    val (x, y, w, h) = region
    val lying = when (rotation) {
        0 -> region
        90 -> Region(y, 1 - x - w, h, w)
        180 -> Region(1 - x - w, 1 - y - h, w, h)
        else -> Region(1 - y - h, x, h, w)
    }
    return Crop(
        whole.left + (lying.x * whole.width).roundToInt(),
        whole.top + (lying.y * whole.height).roundToInt(),
        whole.left + ((lying.x + lying.width) * whole.width).roundToInt(),
        whole.top + ((lying.y + lying.height) * whole.height).roundToInt(),
    )
}
