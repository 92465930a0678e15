package action.mobile.app

import action.mobile.app.camera.CameraPlan
import action.mobile.app.camera.CameraTrouble
import action.mobile.app.camera.PictureSize
import action.mobile.app.camera.seen
import action.mobile.recognizer.Event
import action.mobile.recognizer.Part
import action.mobile.recognizer.Seen
import android.app.Activity
import android.view.Surface
import android.view.SurfaceHolder
import android.view.SurfaceView
import android.view.View
import android.widget.Button
import android.widget.PopupMenu
import android.widget.ProgressBar
import android.widget.TextView
import kotlin.math.roundToInt

/** What a person can ask for on the screen. */
interface Wishes {
    fun primary(state: UiState)

    fun choose(name: String)

    fun see(seen: Seen)

    fun benchmark()

    fun share(report: WrittenReport)

    /** Whether the camera can draw into [surface]. */
    fun surface(surface: Surface, ready: Boolean)
}

/** Puts a [UiState] into the views of `activity_main.xml`, and nothing else. */
class Screen(private val activity: Activity, private val wishes: Wishes) {
    private val frame: PreviewFrame = activity.findViewById(R.id.preview_frame)
    private val preview: SurfaceView = activity.findViewById(R.id.preview)
    private val square: SeenView = activity.findViewById(R.id.square)
    private val headline: TextView = activity.findViewById(R.id.headline)
    private val confidence: TextView = activity.findViewById(R.id.confidence)
    private val progress: ProgressBar = activity.findViewById(R.id.progress)
    private val primary: Button = activity.findViewById(R.id.primary)
    private val choose: Button = activity.findViewById(R.id.choose)
    private val seen: Button = activity.findViewById(R.id.seen)
    private val benchmark: Button = activity.findViewById(R.id.benchmark)
    private val share: Button = activity.findViewById(R.id.share)
    private val model: TextView = activity.findViewById(R.id.model)
    private val notices: TextView = activity.findViewById(R.id.notices)
    private val figures: TextView = activity.findViewById(R.id.figures)
    private val historyHeading: TextView = activity.findViewById(R.id.history_heading)
    private val history: TextView = activity.findViewById(R.id.history)
    private var state: UiState = UiState.Starting
    private var wanted: PictureSize? = null // the surface's size

    init {
        primary.setOnClickListener { wishes.primary(state) }
        benchmark.setOnClickListener { wishes.benchmark() }
        choose.setOnClickListener { showChoices() }
        seen.setOnClickListener { showParts() }
        share.setOnClickListener { (state as? UiState.BenchmarkDone)?.let { wishes.share(it.report) } }
        preview.holder.addCallback(
            object : SurfaceHolder.Callback {
                override fun surfaceCreated(holder: SurfaceHolder) = Unit

                // The camera draws only into a surface of a size that it has.
                override fun surfaceChanged(holder: SurfaceHolder, format: Int, width: Int, height: Int) =
                    wishes.surface(holder.surface, ready = wanted == PictureSize(width, height))

                override fun surfaceDestroyed(holder: SurfaceHolder) = wishes.surface(holder.surface, ready = false)
            },
        )
    }

    /** Shows [next]; [display] is how far the display is turned, degrees. */
    fun show(next: UiState, display: Int) {
        state = next
        val running = next as? UiState.Running
        showPreview(running?.camera, display)
        if (running != null) square.show(running.seen, running.camera.front)
        // The same text again would be read aloud again.
        text(headline, headline(next))
        text(confidence, running?.figures?.let { activity.getString(R.string.confidence, percent(it.confidence)) })
        val shares = next as? UiState.Benchmarking
        visible(progress, shares != null)
        if (shares != null) progress.progress = (100 * shares.share).roundToInt()
        val action = action(next)
        visible(primary, action != null)
        if (action != null) text(primary, activity.getString(action))
        val idle = next !is UiState.Benchmarking && next !is UiState.Starting
        visible(choose, idle && (next.model?.choices?.size ?: 0) > 1)
        visible(seen, running != null)
        visible(benchmark, idle && next.model != null)
        visible(share, next is UiState.BenchmarkDone)
        text(model, next.model?.let { activity.getString(R.string.model, it.name, it.backend) })
        text(notices, next.model?.notices?.joinToString("\n"))
        text(figures, running?.figures?.let(::figures))
        visible(historyHeading, running != null)
        text(history, running?.let { lines(it.history) })
    }

    private fun showPreview(camera: CameraPlan?, display: Int) {
        visible(frame, camera != null)
        // A hidden frame keeps its surface; only a hidden surface view gives it up.
        visible(preview, camera != null)
        if (camera == null) return
        frame.picture = seen(camera.preview, camera.sensorOrientation, display)
        if (wanted != camera.preview) {
            wanted = camera.preview
            wishes.surface(preview.holder.surface, ready = false) // until it has changed
            preview.holder.setFixedSize(camera.preview.width, camera.preview.height)
        }
    }

    private fun headline(state: UiState): String = when (state) {
        UiState.Starting -> activity.getString(R.string.starting)
        is UiState.BundleProblem -> state.line
        is UiState.NeedsPermission -> activity.getString(
            if (state.deniedForGood) R.string.denied_for_good else R.string.needs_permission,
        )
        is UiState.NoCamera -> activity.getString(R.string.no_camera)
        is UiState.CameraLost -> activity.getString(
            when (state.trouble) {
                CameraTrouble.IN_USE -> R.string.camera_in_use
                CameraTrouble.DISABLED -> R.string.camera_disabled
                CameraTrouble.LOST -> R.string.camera_lost
                CameraTrouble.FAILED -> R.string.camera_failed
            },
        )
        is UiState.Running -> state.figures?.gesture ?: activity.getString(R.string.no_gesture)
        is UiState.Benchmarking -> activity.getString(R.string.measuring)
        is UiState.BenchmarkDone -> measured(state.report)
    }

    private fun measured(report: WrittenReport): String {
        val times = activity.getString(R.string.measured, report.medianMs, report.p99Ms, report.path)
        val why = report.fallback ?: return times
        return times + "\n" + activity.getString(R.string.measured_with_fallback, report.backend, why)
    }

    /** What the first button does. */
    private fun action(state: UiState): Int? = when (state) {
        UiState.Starting, is UiState.NoCamera, is UiState.Running -> null
        is UiState.BundleProblem, is UiState.CameraLost -> R.string.try_again
        is UiState.NeedsPermission -> if (state.deniedForGood) R.string.open_settings else R.string.allow_camera
        is UiState.Benchmarking -> R.string.stop
        is UiState.BenchmarkDone -> R.string.back_to_camera
    }

    private fun figures(now: Figures): String {
        val lines = mutableListOf(
            activity.getString(R.string.rates, now.cameraRate, now.recognizedRate),
            activity.getString(R.string.losses, now.dropped, now.missed, now.resets),
        )
        now.medians?.let {
            lines += activity.getString(R.string.latency, it.endToEnd, it.preprocess, it.execute, it.postprocess)
        }
        return lines.joinToString("\n")
    }

    private fun lines(events: List<Event>): String {
        if (events.isEmpty()) return activity.getString(R.string.history_none)
        return events.joinToString("\n") {
            activity.getString(R.string.history_line, it.label, percent(it.confidence), it.end - it.start)
        }
    }

    private fun showChoices() {
        val choices = state.model?.choices ?: return
        val menu = PopupMenu(activity, choose)
        for ((i, choice) in choices.withIndex()) {
            menu.menu.add(0, i, i, activity.getString(R.string.choice, choice.backend, choice.name))
        }
        menu.setOnMenuItemClickListener {
            wishes.choose(choices[it.itemId].name)
            true
        }
        menu.show()
    }

    private fun showParts() {
        val now = (state as? UiState.Running)?.seen ?: return
        val menu = PopupMenu(activity, seen)
        for (part in Part.entries) {
            val item = menu.menu.add(PARTS, part.ordinal, part.ordinal, activity.getString(word(part)))
            item.isChecked = part == now.part
        }
        menu.menu.setGroupCheckable(PARTS, true, true)
        val mirror = menu.menu.add(0, MIRROR, MIRROR, activity.getString(R.string.mirrored))
        mirror.isCheckable = true
        mirror.isChecked = now.mirrored
        menu.setOnMenuItemClickListener {
            val mirrored = if (it.itemId == MIRROR) !now.mirrored else now.mirrored
            val part = if (it.itemId == MIRROR) now.part else Part.entries[it.itemId]
            wishes.see(Seen(mirrored, part))
            true
        }
        menu.show()
    }

    private fun word(part: Part): Int = when (part) {
        Part.MIDDLE -> R.string.part_middle
        Part.LEFT -> R.string.part_left
        Part.RIGHT -> R.string.part_right
    }

    private fun percent(share: Double) = (100 * share).roundToInt()

    /** Shows [text], or hides the view when there is none. */
    private fun text(view: TextView, text: String?) {
        visible(view, !text.isNullOrEmpty())
        if (view.text.toString() != text.orEmpty()) view.text = text
    }

    private fun visible(view: View, visible: Boolean) {
        view.visibility = if (visible) View.VISIBLE else View.GONE
    }

    private companion object {
        const val PARTS = 1 // group of the menu
        const val MIRROR = 100 // behind all parts
    }
}
