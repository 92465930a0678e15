package action.mobile.app

import action.mobile.app.benchmark.Measurement
import action.mobile.app.benchmark.ReportFolder
import action.mobile.app.benchmark.Surroundings
import action.mobile.app.bundles.ArtifactCopies
import action.mobile.app.bundles.BundleStore
import action.mobile.app.bundles.CheckMemory
import action.mobile.app.bundles.ModelChooser
import action.mobile.app.bundles.TimedPrograms
import java.io.File
import org.junit.jupiter.api.io.TempDir

/** A view model between fakes, and what moves it on. */
abstract class ViewModelRig {
    @TempDir
    lateinit var root: File

    protected val main = Queue()
    protected val worker = Queue()
    protected val camera = FakeCamera()
    protected val programs = FakePrograms()
    protected val notes = FakeNotes()
    protected val log = mutableListOf<String>()
    protected val shown = mutableListOf<UiState>()
    protected val screen: (UiState) -> Unit = { shown += it }

    private val both = arrayOf(TinyBundle("cpu"), TinyBundle("gpu", "vulkan"))

    protected fun viewModel(vararg bundles: TinyBundle = both): LiveViewModel {
        val files = bundles.map { it.asset() }.fold(emptyMap<String, ByteArray>()) { all, one -> all + one }
        val timed = TimedPrograms(programs)
        val chooser = ModelChooser(
            BundleStore(FakeAssets(files), File(root, "pushed")),
            ArtifactCopies(File(root, "artifacts")),
            CheckMemory(notes, "16"),
            timed,
        )
        val measurement = Measurement(
            timed, Surroundings(FakeProbe.device, FakeProbe, mapOf("app" to "0")), ReportFolder(File(root, "reports")),
        )
        val slot = ModelSlot(worker, chooser, timed, measurement, notes, 8)
        return LiveViewModel(slot, camera, main, notes) { log += it }
    }

    protected fun settle() = repeat(4) {
        worker.runAll()
        main.runAll()
    }

    /** Live, with a camera and a surface. */
    protected fun live(model: LiveViewModel): LiveViewModel {
        model.entered(screen, Permission.GRANTED)
        settle()
        model.surface(true)
        return model
    }

    protected fun frames(model: LiveViewModel, ticks: IntRange): List<FakeFrame> = ticks.map {
        val frame = FakeFrame(it * 100_000_000L)
        model.frame(frame.frame)
        settle()
        frame
    }
}
