package action.mobile.app

import action.mobile.app.benchmark.BenchmarkRequest
import action.mobile.app.benchmark.ReportProvider
import action.mobile.recognizer.Seen
import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.hardware.display.DisplayManager
import android.net.Uri
import android.os.Bundle
import android.provider.Settings
import android.view.Surface
import android.view.WindowManager
import android.widget.Toast

/**
 * The one screen: hands what the system and the person say to the view model, and its states to
 * [Screen].
 *
 * In a build for developers a script asks for a benchmark by extras: `--ez benchmark true`, and as it likes `--ei iterations N`,
 * `--ei seconds N`, `--ei threads N`, `--es bundle FOLDER`.
 */
class MainActivity : Activity(), Wishes {
    private val app get() = application as DemoApplication
    private val viewModel get() = app.viewModel
    private lateinit var screen: Screen
    private var explained = false // what the system advised before it was asked last
    private var refusals = 0 // without that advice before and after
    private val show: (UiState) -> Unit = { screen.show(it, displayRotation()) }

    /** A half turn makes no new screen, and is told to nobody but a display's listeners. */
    private val turns = object : DisplayManager.DisplayListener {
        override fun onDisplayAdded(displayId: Int) = Unit

        override fun onDisplayRemoved(displayId: Int) = Unit

        override fun onDisplayChanged(displayId: Int) = turned()
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON) // a gesture touches nothing
        screen = Screen(this, this)
        // A screen that is made anew, or comes from the list of recent apps, has been told already.
        val old = intent.flags and Intent.FLAG_ACTIVITY_LAUNCHED_FROM_HISTORY != 0
        if (savedInstanceState == null && !old) take(intent)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        take(intent)
    }

    override fun onStart() {
        super.onStart()
        getSystemService(DisplayManager::class.java).registerDisplayListener(turns, null)
        app.camera.displayRotation = displayRotation()
        viewModel.entered(show, permission(afterAsking = false))
    }

    override fun onStop() {
        viewModel.left(show, turning = isChangingConfigurations)
        getSystemService(DisplayManager::class.java).unregisterDisplayListener(turns)
        super.onStop()
    }

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<String>, grantResults: IntArray) {
        viewModel.answered(permission(afterAsking = grantResults.isNotEmpty())) // empty: interrupted
    }

    override fun primary(state: UiState) = when (state) {
        is UiState.NeedsPermission -> if (state.deniedForGood) openSettings() else ask()
        is UiState.BundleProblem, is UiState.CameraLost -> viewModel.retry()
        is UiState.Benchmarking -> viewModel.stop()
        is UiState.BenchmarkDone -> viewModel.backToCamera()
        UiState.Starting, is UiState.NoCamera, is UiState.Running -> Unit // have no button
    }

    override fun choose(name: String) = viewModel.choose(name)

    override fun see(seen: Seen) = viewModel.see(seen)

    override fun benchmark() = viewModel.benchmark(BenchmarkRequest())

    override fun share(report: WrittenReport) {
        val chooser = Intent.createChooser(ReportProvider.share(report.file), getString(R.string.share_title))
        start(chooser, R.string.no_share_target)
    }

    override fun surface(surface: Surface, ready: Boolean) {
        // The screen of before a turn may say goodbye when that of afterwards is already there.
        val other = app.camera.preview !== surface
        if (!ready && other) return
        if (other) viewModel.surface(false) // or the camera would go on drawing into that one
        app.camera.preview = surface.takeIf { ready }
        viewModel.surface(ready)
    }

    private fun take(intent: Intent) {
        if (!app.forDevelopers || !intent.getBooleanExtra("benchmark", false)) return
        viewModel.benchmark(
            BenchmarkRequest(
                bundle = intent.getStringExtra("bundle"),
                iterations = number(intent, "iterations"),
                seconds = number(intent, "seconds"),
                threads = number(intent, "threads"),
            ),
        )
    }

    /** Null where it is missing or no whole number; the system writes the latter into the log. */
    private fun number(intent: Intent, name: String): Int? =
        intent.getIntExtra(name, Int.MIN_VALUE).takeIf { it != Int.MIN_VALUE }

    private fun turned() {
        app.camera.displayRotation = displayRotation()
        show(viewModel.state)
    }

    @Suppress("DEPRECATION") // its successor, Activity.getDisplay, came with Android 11
    private fun displayRotation() = when (windowManager.defaultDisplay.rotation) {
        Surface.ROTATION_90 -> 90
        Surface.ROTATION_180 -> 180
        Surface.ROTATION_270 -> 270
        else -> 0
    }

    /**
     * The system says no more than yes or no. Its advice to explain tells that it would ask again: a
     * no without it, [afterAsking], is for good if there was that advice before. Without, it may be a
     * question that somebody tapped away, and the second such no counts.
     */
    private fun permission(afterAsking: Boolean): Permission = when {
        checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED -> Permission.GRANTED
        afterAsking && !wouldExplain() && (explained || ++refusals > 1) -> Permission.DENIED_FOR_GOOD
        else -> Permission.MISSING
    }

    private fun wouldExplain() = shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)

    private fun ask() {
        explained = wouldExplain()
        requestPermissions(arrayOf(Manifest.permission.CAMERA), 0)
    }

    private fun openSettings() {
        val app = Uri.fromParts("package", packageName, null)
        start(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app), R.string.no_settings)
    }

    private fun start(intent: Intent, otherwise: Int) = try {
        startActivity(intent)
    } catch (_: ActivityNotFoundException) {
        Toast.makeText(this, otherwise, Toast.LENGTH_LONG).show()
    }
}
