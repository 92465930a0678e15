package action.mobile.app

import action.mobile.app.benchmark.BenchmarkRequest
import action.mobile.app.bundles.ChosenModel
import action.mobile.app.bundles.Notebook
import action.mobile.app.camera.CameraFrame
import action.mobile.app.camera.CameraListener
import action.mobile.app.camera.CameraPlan
import action.mobile.app.camera.CameraPort
import action.mobile.app.camera.CameraTrouble
import action.mobile.app.live.LiveListener
import action.mobile.app.live.LiveStream
import action.mobile.recognizer.Event
import action.mobile.recognizer.Seen
import java.util.concurrent.Executor

/** Whether the app may use the camera. */
enum class Permission { GRANTED, MISSING, DENIED_FOR_GOOD }

/**
 * Everything between camera, model and screen; one immutable state comes out of it.
 *
 * All methods but those of [CameraListener] are called on the main thread, which [main] runs tasks
 * on. Whatever blocks is done by [ModelSlot] on the model's thread. The camera is open exactly while
 * [wantsCamera] holds: each change goes through [settle], which opens or closes it and tells the
 * screen.
 */
class LiveViewModel(
    private val models: ModelSlot,
    private val camera: CameraPort,
    private val main: Executor,
    private val notes: Notebook,
    private val log: (String) -> Unit,
) : CameraListener {
    /** What the screen shows. */
    var state: UiState = UiState.Starting
        private set

    private var screen: ((UiState) -> Unit)? = null // the one that is there
    private var foreground = false
    private var permission = Permission.MISSING
    private var surface = false // the preview can be drawn
    private var model: ModelFacts? = null
    private var problem: String? = null
    private var loading = false
    private var modelSize = 0 // pixels a side
    private var plan: CameraPlan? = null
    private var trouble: CameraTrouble? = null
    private var cameraOpen = false
    private var opening = 0 // number of the latest one
    private var figures: Figures? = null
    private val history = ArrayDeque<Event>()
    private var share: Double? = null // of the measurement that runs
    private var report: WrittenReport? = null
    private var queued: BenchmarkRequest? = null // asked for, not begun
    private var seen = Seen.of(notes.get(SEEN))

    @Volatile
    private var stream: LiveStream? = null // the camera's thread reads it

    /**
     * A screen is visible: [screen] hears of this state and every new one, on the main thread.
     * [permission] is what the system says of the camera's.
     */
    fun entered(screen: (UiState) -> Unit, permission: Permission) {
        this.screen = screen
        screen(state)
        foreground = true
        this.permission = permission
        tryCamera() // whatever it was, it is worth another try
        measureQueued() // it needs no model that was opened before, and wants none: loading is measured
        if (model == null && !loading && share == null) load(null, again = false)
    }

    /**
     * [screen] is gone; a measurement ends, since the system slows down what nobody sees. It goes on if
     * the device is [turning], which puts another screen in the place of this one at once.
     */
    fun left(screen: (UiState) -> Unit, turning: Boolean) {
        // That of an app that was closed and started again says goodbye seconds after the new one came.
        if (this.screen !== screen) return
        this.screen = null
        if (turning) return
        foreground = false
        if (share != null) stop()
        settle()
    }

    /** The person answered, or the system did for them. */
    fun answered(permission: Permission) {
        this.permission = permission
        settle()
    }

    /** Whether there is a surface of the size that the state asked for. */
    fun surface(ready: Boolean) {
        surface = ready
        settle()
    }

    /** Another bundle; one that failed before is checked once more. */
    fun choose(name: String) {
        if (share == null && !loading) load(name, again = true)
    }

    /** What of the camera's pictures the model is to see, from now on and after a restart. */
    fun see(seen: Seen) {
        this.seen = seen
        notes.put(SEEN, seen.noted())
        stream?.seen = seen
        settle()
    }

    /** Once more from the bundle on, or from the camera. */
    fun retry() {
        if (model != null) tryCamera() else if (!loading) load(null, again = true)
    }

    /** Measures as soon as the screen is visible and nothing else is under way. */
    fun benchmark(request: BenchmarkRequest) {
        queued = request
        measureQueued()
    }

    /** Ends a measurement; nothing is written. */
    fun stop() = models.stopMeasuring()

    /** From the report back to the camera. */
    fun backToCamera() {
        report = null
        settle()
    }

    override fun frame(frame: CameraFrame) {
        stream?.offer(frame) ?: frame.release()
    }

    override fun skipped() {
        stream?.skipped()
    }

    override fun trouble(opening: Int, trouble: CameraTrouble) = main.execute {
        // An earlier opening's trouble says nothing about the camera that is open now.
        if (cameraOpen && opening == this.opening) {
            cameraOpen = false // it closed itself
            stream?.pause()
            this.trouble = trouble
            settle()
        }
    }

    override fun available() = main.execute {
        // A camera that failed is free again as soon as it is closed: trying by itself would never end.
        val none = model != null && plan == null
        if (none || trouble == CameraTrouble.IN_USE || trouble == CameraTrouble.LOST) tryCamera()
    }

    /** After trouble the device is asked anew: cameras are plugged in and pulled out. */
    private fun tryCamera() {
        if (model != null && (trouble != null || plan == null)) plan = camera.find(modelSize)
        trouble = null
        settle()
    }

    private fun load(name: String?, again: Boolean) {
        loading = true
        stream?.pause() // the event that is open ends with the model that saw it
        stream = null
        model = null
        problem = null
        report = null
        settle()
        models.load(name, again, live, loaded)
    }

    private val loaded = object : ModelSlot.Listener {
        override fun chosen(model: ChosenModel) {
            val found = camera.find(model.bundle.manifest.input.size)
            main.execute {
                adopt(model)
                plan = found
                settle()
            }
        }

        override fun opened(stream: LiveStream) = main.execute {
            loading = false
            stream.seen = seen
            this@LiveViewModel.stream = stream
            settle()
            measureQueued()
        }

        override fun impossible(line: String) = main.execute {
            log("no model: $line")
            loading = false
            stream = null
            model = null
            share = null
            problem = line
            settle()
        }

        override fun measuring(share: Double) = main.execute {
            if (this@LiveViewModel.share != null) {
                this@LiveViewModel.share = share
                settle()
            }
        }

        override fun measured(report: WrittenReport?, line: String?) = main.execute {
            share = null
            this@LiveViewModel.report = report
            if (line != null) model = model?.let { it.copy(notices = (it.notices + line).distinct()) }
            log(report?.let { "report written: ${it.path}" } ?: "no report: $line")
            settle()
            measureQueued()
        }
    }

    private val live = object : LiveListener {
        override fun recognized(figures: Figures, ended: Event?) = main.execute {
            if (ended != null) remember(ended)
            if (cameraOpen) this@LiveViewModel.figures = figures
            settle()
        }

        override fun failed(line: String) = main.execute {
            log("the model failed: $line")
            // Without a stream something else is on its way already, and would be blamed for this one.
            if (stream != null) {
                loading = true
                stream = null
                settle()
                models.replace(line, this, loaded)
            }
        }
    }

    private fun adopt(chosen: ChosenModel) {
        val manifest = chosen.bundle.manifest
        val notices = listOfNotNull(chosen.fallback) + chosen.notices
        model = ModelFacts(manifest.name, manifest.target, chosen.choices, notices)
        notices.forEach(log)
        figures = null
        modelSize = manifest.input.size
    }

    private fun measureQueued() {
        val request = queued ?: return
        if (loading || share != null || !foreground) return
        queued = null
        share = 0.0
        problem = null
        report = null
        stream?.pause()
        stream = null // the model's thread is the benchmark's now
        settle()
        models.measure(request, live, loaded)
    }

    private fun remember(event: Event) {
        history.addFirst(event)
        if (history.size > SHOWN) history.removeLast()
    }

    private fun wantsCamera() = foreground && surface && stream != null && trouble == null &&
        share == null && report == null && permission == Permission.GRANTED

    /** Opens or closes the camera as things are now, and shows them. */
    private fun settle() {
        val plan = plan
        if (wantsCamera() && plan != null) {
            if (!cameraOpen) {
                cameraOpen = true
                figures = null // this camera has seen nothing yet
                camera.open(plan, ++opening)
            }
        } else if (cameraOpen) {
            cameraOpen = false
            val ended = stream
            camera.close { ended?.pause() }
        }
        val next = current()
        if (next != state) {
            state = next
            screen?.invoke(next)
        }
    }

    private fun current(): UiState {
        val model = model ?: return problem?.let { UiState.BundleProblem(it) } ?: UiState.Starting
        val plan = plan
        val trouble = trouble
        val share = share
        val report = report
        return when {
            share != null -> UiState.Benchmarking(model, share)
            report != null -> UiState.BenchmarkDone(model, report)
            plan == null -> UiState.NoCamera(model)
            permission != Permission.GRANTED ->
                UiState.NeedsPermission(model, permission == Permission.DENIED_FOR_GOOD)
            trouble != null -> UiState.CameraLost(model, trouble)
            else -> UiState.Running(model, plan, figures, history.toList(), seen)
        }
    }

    private companion object {
        const val SHOWN = 20 // gestures of the past
        const val SEEN = "seen" // the note of what the model sees
    }
}
