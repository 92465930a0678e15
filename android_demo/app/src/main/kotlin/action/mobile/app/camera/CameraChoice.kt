package action.mobile.app.camera

import kotlin.math.abs
import kotlin.math.min

/** What the system says of one camera. */
data class CameraFacts(
    val id: String,
    val front: Boolean,
    val sensorOrientation: Int,
    val analysisSizes: List<PictureSize>, // in YUV 4:2:0
    val previewSizes: List<PictureSize>,
)

/**
 * The first front camera, else the first of any kind; null when none has pictures for both uses.
 *
 * The model shrinks its pictures: twice its size a side is detail enough, and every further pixel is
 * memory traffic on each frame. The preview has the same shape, so that a person sees what the model
 * sees. Up to 1080p every camera promises to deliver both at once; larger sizes are the last resort.
 */
fun choosePlan(cameras: List<CameraFacts>, modelSize: Int): CameraPlan? =
    cameras.sortedBy { !it.front }.firstNotNullOfOrNull { plan(it, modelSize) }

private fun plan(camera: CameraFacts, modelSize: Int): CameraPlan? {
    val enough = camera.analysisSizes.filter { it.short >= ENOUGH * modelSize }
    val analysis = enough.minWithOrNull(compareBy({ it.large }, { !it.usual }, { it.area }))
        ?: camera.analysisSizes.maxByOrNull { it.area }
        ?: return null
    val preview = camera.previewSizes.minWithOrNull(
        compareBy(
            { it.large },
            { abs(it.shape - analysis.shape) > SAME_SHAPE },
            { abs(it.area - GOOD_PREVIEW) },
        ),
    ) ?: return null
    return CameraPlan(camera.id, camera.front, camera.sensorOrientation, analysis, preview)
}

/**
 * How far a picture of the sensor has to be turned clockwise to stand upright on the display.
 *
 * [display] is the display's rotation in degrees, as `Display.getRotation` counts: how far what is
 * drawn was turned clockwise, the device counterclockwise. A front camera looks the other way, so that
 * the device's turn counts the other way.
 */
fun uprightRotation(sensorOrientation: Int, display: Int, front: Boolean): Int =
    (sensorOrientation + (if (front) display else -display) + 360) % 360

/** A picture's size as it is seen, its sensor turned by [sensorOrientation] and the display by [display]. */
fun seen(picture: PictureSize, sensorOrientation: Int, display: Int): PictureSize =
    if ((sensorOrientation + display) % 180 == 0) picture else PictureSize(picture.height, picture.width)

private val PictureSize.area get() = width.toLong() * height
private val PictureSize.short get() = min(width, height)
private val PictureSize.large get() = width > 1920 || height > 1080
private val PictureSize.shape get() = width.toDouble() / height

/** 4:3, the shape of most sensors: other shapes are cut out of it and see less. */
private val PictureSize.usual get() = abs(shape - 4.0 / 3.0) < SAME_SHAPE

private const val ENOUGH = 2
private const val SAME_SHAPE = 0.02
private const val GOOD_PREVIEW = 1280L * 960
