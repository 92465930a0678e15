package action.mobile.app.camera

import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CameraMetadata
import android.util.Size
import android.view.SurfaceHolder

/** The cameras that deliver ordinary pictures; none when the system does not tell. */
fun listCameras(manager: CameraManager): List<CameraFacts> = try {
    manager.cameraIdList.mapNotNull { id -> characteristics(manager, id)?.let { factsOf(id, it) } }
} catch (_: CameraAccessException) {
    emptyList()
}

/** Null for a camera that does not answer: the others may. */
private fun characteristics(manager: CameraManager, id: String): CameraCharacteristics? = try {
    manager.getCameraCharacteristics(id)
} catch (_: CameraAccessException) {
    null
} catch (_: IllegalArgumentException) {
    null // it was unplugged since the list was made
}

private fun factsOf(id: String, camera: CameraCharacteristics): CameraFacts? {
    // Depth and infrared cameras are listed as well, and have no colours.
    val abilities = camera.get(CameraCharacteristics.REQUEST_AVAILABLE_CAPABILITIES) ?: return null
    if (CameraMetadata.REQUEST_AVAILABLE_CAPABILITIES_BACKWARD_COMPATIBLE !in abilities) return null
    val sizes = camera.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP) ?: return null
    return CameraFacts(
        id = id,
        front = camera.get(CameraCharacteristics.LENS_FACING) == CameraMetadata.LENS_FACING_FRONT,
        sensorOrientation = camera.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0,
        analysisSizes = sizesOf(sizes.getOutputSizes(ImageFormat.YUV_420_888)),
        previewSizes = sizesOf(sizes.getOutputSizes(SurfaceHolder::class.java)),
    )
}

private fun sizesOf(sizes: Array<Size>?) = sizes.orEmpty().map { PictureSize(it.width, it.height) }
