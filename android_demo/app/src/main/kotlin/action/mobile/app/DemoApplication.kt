package action.mobile.app

import action.mobile.app.benchmark.Measurement
import action.mobile.app.benchmark.ReportFolder
import action.mobile.app.benchmark.ReportProvider
import action.mobile.app.benchmark.Surroundings
import action.mobile.app.bundles.ArtifactCopies
import action.mobile.app.bundles.BundleStore
import action.mobile.app.bundles.CheckMemory
import action.mobile.app.bundles.ModelChooser
import action.mobile.app.bundles.TimedPrograms
import action.mobile.app.camera.CameraController
import action.mobile.app.device.AppAssets
import action.mobile.app.device.Preferences
import action.mobile.app.device.SystemProbe
import android.app.Application
import android.content.pm.ApplicationInfo
import android.content.pm.PackageManager
import android.util.Log
import java.io.File
import java.util.concurrent.Executors

/**
 * Puts the pieces together. They live as long as the process, so that turning the device makes a new
 * screen but loads no model.
 */
class DemoApplication : Application() {
    val camera: CameraController by lazy { CameraController(this) { viewModel } }

    val viewModel: LiveViewModel by lazy {
        val notes = Preferences(getSharedPreferences("notes", MODE_PRIVATE))
        LiveViewModel(models(notes), camera, mainExecutor, notes) { Log.i(TAG, it) }
    }

    /**
     * Whether this is a build for developers. Shared storage is open to other apps on Android 10, and
     * the screen to every app: what a script pushes or asks for is taken in such builds alone.
     */
    val forDevelopers: Boolean get() = applicationInfo.flags and ApplicationInfo.FLAG_DEBUGGABLE != 0

    private fun models(notes: Preferences): ModelSlot {
        val probe = SystemProbe(this)
        val device = probe.device()
        val tools = versions()
        val programs = TimedPrograms(ExecuTorchProgram::open)
        return ModelSlot(
            worker = Executors.newSingleThreadExecutor { Thread(it, "model") },
            chooser = ModelChooser(
                BundleStore(AppAssets(assets), if (forDevelopers) getExternalFilesDir("bundles") else null),
                ArtifactCopies(File(filesDir, "artifacts")),
                CheckMemory(notes, "$tools ${device.osBuild}"),
                programs,
            ),
            programs = programs,
            measurement = Measurement(
                programs,
                Surroundings(device, probe, tools),
                ReportFolder(ReportProvider.reportsIn(this)),
            ),
            notes = notes,
            cores = device.cores,
        )
    }

    private fun versions(): Map<String, String> {
        val info = packageManager.getPackageInfo(packageName, 0)
        val about = packageManager.getApplicationInfo(packageName, PackageManager.GET_META_DATA).metaData
        return mapOf(
            "app" to info.versionName.toString(),
            "executorch" to about?.getString("action.mobile.executorch").orEmpty(),
        )
    }

    private companion object {
        const val TAG = "ActionMobile" // adb logcat -s ActionMobile
    }
}
