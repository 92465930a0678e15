package action.mobile.app

import action.mobile.app.benchmark.BenchmarkRequest
import action.mobile.app.benchmark.Measurement
import action.mobile.app.bundles.ChosenModel
import action.mobile.app.bundles.ModelChooser
import action.mobile.app.bundles.Notebook
import action.mobile.app.bundles.Programs
import action.mobile.app.live.LiveListener
import action.mobile.app.live.LiveStream
import action.mobile.recognizer.BundleException
import action.mobile.recognizer.Program
import action.mobile.recognizer.ProgramException
import action.mobile.recognizer.Recognizer
import java.io.IOException
import java.util.concurrent.Executor

/**
 * The one program that is loaded, and all that is done with it, on [worker]: a thread of its own,
 * since every call here blocks and a program belongs to one thread.
 *
 * A program is closed before the next one is loaded. ExecuTorch makes its pool of threads anew with
 * each load, and a program that was loaded before it keeps the old one and crashes.
 */
class ModelSlot(
    private val worker: Executor,
    private val chooser: ModelChooser,
    private val programs: Programs,
    private val measurement: Measurement,
    private val notes: Notebook,
    private val cores: Int,
) {
    /** Hears what came of it, on the worker. */
    interface Listener {
        /** This bundle it will be. */
        fun chosen(model: ChosenModel)

        /** Frames can come. */
        fun opened(stream: LiveStream)

        /** There is no model; [line] says why and what to do. */
        fun impossible(line: String)

        /** [share] of a measurement is done. */
        fun measuring(share: Double)

        /** A measurement ended: with a report, or with the line that says why there is none. */
        fun measured(report: WrittenReport?, line: String?)
    }

    // The worker's own.
    private var model: ChosenModel? = null
    private var program: Program? = null
    private var stream: LiveStream? = null

    @Volatile
    private var going = false

    /** Opens the bundle in folder [name] for frames; null: the one that was used last. */
    fun load(name: String?, again: Boolean, live: LiveListener, listener: Listener) = attempt(listener) {
        close()
        if (name != null) notes.put(LAST, name)
        choose(name ?: notes.get(LAST)?.ifEmpty { null }, again, listener)
        open(live, listener)
    }

    /** Opens another model in place of the one that failed with [reason]. */
    fun replace(reason: String, live: LiveListener, listener: Listener) = attempt(listener) {
        close()
        val failed = model ?: throw BundleException(reason)
        chooser.replace(failed, reason).let { model = it; listener.chosen(it) }
        open(live, listener)
    }

    /** Measures, then opens the model again for frames. */
    fun measure(request: BenchmarkRequest, live: LiveListener, listener: Listener) {
        going = true
        attempt(listener) {
            close()
            val now = model
            if (now == null || (request.bundle != null && request.bundle != now.folder)) {
                choose(request.bundle ?: notes.get(LAST)?.ifEmpty { null }, again = request.bundle != null, listener)
            }
            var line: String? = null
            val report = try {
                requireBundle(request)
                report(request, listener)
            } catch (e: ProgramException) {
                line = e.message
                null
            } catch (e: IOException) {
                line = "the report cannot be written: ${e.message}; free some storage"
                null
            }
            try {
                open(live, listener)
            } finally {
                // A report that is written is told even if there is no going back to the camera.
                listener.measured(report, line ?: if (report == null) STOPPED else null)
            }
        }
    }

    /** Ends a measurement before its time. */
    fun stopMeasuring() {
        going = false
    }

    private fun choose(name: String?, again: Boolean, listener: Listener) {
        val chosen = chooser.choose(name, again)
        // A bundle that was deleted is not asked for again.
        if (name != null && chosen.choices.none { it.name == name }) notes.put(LAST, "")
        model = chosen
        listener.chosen(chosen)
    }

    /** Figures of another bundle than the script asked for, by a slip of the pen, would mislead it. */
    private fun requireBundle(request: BenchmarkRequest) {
        val choices = checkNotNull(model).choices
        if (request.bundle == null || choices.any { it.name == request.bundle }) return
        val names = choices.joinToString { it.name }
        throw ProgramException("no bundle ${request.bundle} can be read; there are $names")
    }

    private fun report(request: BenchmarkRequest, listener: Listener): WrittenReport? {
        val chosen = checkNotNull(model)
        return measurement.run(chosen, request) { share ->
            listener.measuring(share)
            going
        }
    }

    private fun open(live: LiveListener, listener: Listener) {
        val chosen = checkNotNull(model)
        val manifest = chosen.bundle.manifest
        val threads = BenchmarkRequest().threads(manifest.target, cores)
        val opened = programs.open(chosen.artifact, manifest, threads)
        program = opened
        val next = LiveStream(Recognizer(manifest, opened), manifest.labels, worker, live)
        stream = next
        listener.opened(next)
    }

    private fun close() {
        stream?.retire() // the camera may have handed over a frame that is still in the queue
        stream = null
        program?.close()
        program = null
    }

    private fun attempt(listener: Listener, task: () -> Unit) = worker.execute {
        try {
            task()
        } catch (e: BundleException) {
            impossible(e, listener)
        } catch (e: ProgramException) {
            impossible(e, listener)
        }
    }

    private fun impossible(e: Exception, listener: Listener) {
        close()
        model = null
        listener.impossible(e.message ?: e.toString())
    }

    private companion object {
        const val LAST = "bundle"
        const val STOPPED = "the measurement was stopped: keep the app open until it is done"
    }
}
