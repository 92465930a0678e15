package action.mobile.app.camera

import action.mobile.recognizer.Crop
import action.mobile.recognizer.Plane
import action.mobile.recognizer.YuvFrame
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.params.OutputConfiguration
import android.hardware.camera2.params.SessionConfiguration
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.view.Surface
import java.util.concurrent.Executor

/**
 * One camera at a time by Camera2, on a thread of its own, which nothing else blocks: frames are
 * fetched as they come and handed over, and the listener drops those that it has no time for.
 *
 * Each opening is an [Opening] of its own; what an old one still reports is passed over.
 */
class CameraController(context: Context, private val listener: () -> CameraListener) : CameraPort {
    /** How far the display is turned, degrees; the screen keeps it up to date. */
    @Volatile
    var displayRotation = 0

    /** Where the preview goes; the screen sets it before it says that it is ready. */
    @Volatile
    var preview: Surface? = null

    private val manager = context.getSystemService(CameraManager::class.java)
    private val handler = Handler(HandlerThread("camera").apply { start() }.looper)
    private val executor = Executor { handler.post(it) }
    private var current: Opening? = null // the handler's thread alone

    init {
        manager.registerAvailabilityCallback(
            executor,
            object : CameraManager.AvailabilityCallback() {
                override fun onCameraAvailable(cameraId: String) = listener().available()
            },
        )
    }

    override fun find(modelSize: Int): CameraPlan? = choosePlan(listCameras(manager), modelSize)

    override fun open(plan: CameraPlan, opening: Int) {
        handler.post {
            current?.close()
            val surface = preview
            if (surface == null || !surface.isValid) {
                listener().trouble(opening, CameraTrouble.FAILED)
            } else {
                current = Opening(plan, opening, surface).also { it.start() }
            }
        }
    }

    override fun close(closed: () -> Unit) {
        handler.post {
            current?.close()
            current = null
            closed()
        }
    }

    /** From opening a camera to closing it, on the handler's thread. */
    private inner class Opening(
        private val plan: CameraPlan,
        private val number: Int,
        private val surface: Surface,
    ) : CameraDevice.StateCallback() {
        private val reader = ImageReader.newInstance(
            plan.analysis.width, plan.analysis.height, ImageFormat.YUV_420_888, IMAGES,
        )
        private val pictures = LastOneOut { reader.close() }
        private var device: CameraDevice? = null
        private var closed = false

        fun start() {
            reader.setOnImageAvailableListener({ fetch() }, handler)
            attempt { manager.openCamera(plan.id, executor, this) }
        }

        fun close() {
            if (closed) return
            closed = true
            device?.close()
            pictures.finish()
        }

        override fun onOpened(camera: CameraDevice) {
            device = camera
            if (closed) {
                camera.close()
                return
            }
            attempt {
                val outputs = listOf(OutputConfiguration(surface), OutputConfiguration(reader.surface))
                camera.createCaptureSession(
                    SessionConfiguration(SessionConfiguration.SESSION_REGULAR, outputs, executor, Capture()),
                )
            }
        }

        override fun onDisconnected(camera: CameraDevice) {
            device = camera
            fail(CameraTrouble.LOST)
        }

        override fun onError(camera: CameraDevice, error: Int) {
            device = camera
            fail(
                when (error) {
                    ERROR_CAMERA_IN_USE, ERROR_MAX_CAMERAS_IN_USE -> CameraTrouble.IN_USE
                    ERROR_CAMERA_DISABLED -> CameraTrouble.DISABLED
                    else -> CameraTrouble.FAILED
                },
            )
        }

        private inner class Capture : CameraCaptureSession.StateCallback() {
            override fun onConfigured(session: CameraCaptureSession) {
                if (closed) return
                attempt {
                    val request = session.device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                    request.addTarget(surface)
                    request.addTarget(reader.surface)
                    session.setRepeatingRequest(request.build(), null, null)
                }
            }

            override fun onConfigureFailed(session: CameraCaptureSession) = fail(CameraTrouble.FAILED)
        }

        private fun fetch() {
            if (closed || !pictures.take()) return
            val image = reader.acquireLatestImage()
            if (image == null) {
                // The call for an earlier frame has fetched this one already, in place of its own.
                pictures.putDown()
                listener().skipped()
                return
            }
            val release = {
                image.close()
                pictures.putDown()
            }
            val picture = try {
                pictureOf(image)
            } catch (_: IllegalArgumentException) {
                release()
                fail(CameraTrouble.FAILED) // planes that do not hold what they claim
                return
            }
            val rotation = uprightRotation(plan.sensorOrientation, displayRotation, plan.front)
            listener().frame(CameraFrame(image.timestamp, picture, rotation, release))
        }

        private fun attempt(task: () -> Unit) = try {
            task()
        } catch (e: CameraAccessException) {
            fail(troubleOf(e))
        } catch (_: SecurityException) {
            fail(CameraTrouble.DISABLED) // the permission was taken back just now
        } catch (_: IllegalArgumentException) {
            fail(CameraTrouble.FAILED) // unplugged, or the surface is gone
        } catch (_: IllegalStateException) {
            fail(CameraTrouble.LOST) // closed by the system meanwhile
        }

        private fun fail(trouble: CameraTrouble) {
            if (closed) {
                device?.close()
                return
            }
            close()
            listener().trouble(number, trouble)
        }
    }

    private companion object {
        const val IMAGES = 3 // with the model, just fetched, being filled
    }
}

private fun pictureOf(image: Image): YuvFrame {
    val (y, u, v) = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
    val crop = image.cropRect
    return YuvFrame(image.width, image.height, y, u, v, Crop(crop.left, crop.top, crop.right, crop.bottom))
}

private fun troubleOf(e: CameraAccessException) = when (e.reason) {
    CameraAccessException.CAMERA_IN_USE, CameraAccessException.MAX_CAMERAS_IN_USE -> CameraTrouble.IN_USE
    CameraAccessException.CAMERA_DISABLED -> CameraTrouble.DISABLED
    CameraAccessException.CAMERA_DISCONNECTED -> CameraTrouble.LOST
    else -> CameraTrouble.FAILED
}
