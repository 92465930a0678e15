package action.mobile.app.camera

import action.mobile.recognizer.YuvFrame

/** Width and height in pixels, as the sensor has them: not turned. */
data class PictureSize(val width: Int, val height: Int)

/** What goes wrong with a camera that exists. */
enum class CameraTrouble { IN_USE, DISABLED, LOST, FAILED }

/** A camera and the sizes in which its pictures go to the model and to the screen. */
data class CameraPlan(
    val id: String,
    val front: Boolean,
    val sensorOrientation: Int, // clockwise degrees that turn a picture upright on the unturned device
    val analysis: PictureSize,
    val preview: PictureSize,
)

/**
 * A picture that is valid until [release], which has to be called once, on any thread.
 *
 * [rotation] is how far it has to be turned clockwise to stand upright. It is never mirrored.
 */
class CameraFrame(
    val timestampNanos: Long,
    val picture: YuvFrame,
    val rotation: Int,
    val release: () -> Unit,
)

/** Hears of a camera, on the camera's thread. */
interface CameraListener {
    fun frame(frame: CameraFrame)

    /** A newer frame took the place of one that nobody had fetched. */
    fun skipped()

    /** The camera that was opened as number [opening] is closed because of [trouble]. */
    fun trouble(opening: Int, trouble: CameraTrouble)

    /** A camera that was in use elsewhere, or gone, is free again, or a new one is there. */
    fun available()
}

/** The device's cameras, as the view model sees them. */
interface CameraPort {
    /**
     * The camera to use for a model of [modelSize] pixels a side; null when there is none. On any thread;
     * it asks the system about every camera.
     */
    fun find(modelSize: Int): CameraPlan?

    /**
     * Opens the camera of [plan], shown in the preview; what comes of it, the listener hears. The number
     * [opening] comes back with trouble, since another opening may be under way by then.
     */
    fun open(plan: CameraPlan, opening: Int)

    /** Closes it, if it is open, and calls [closed], on any thread; no frame comes afterwards. */
    fun close(closed: () -> Unit)
}
