package action.mobile.app.live

import action.mobile.app.Figures
import action.mobile.app.Medians
import action.mobile.app.camera.CameraFrame
import action.mobile.recognizer.Answer
import action.mobile.recognizer.Event
import action.mobile.recognizer.LatencyRecorder
import action.mobile.recognizer.ProgramException
import action.mobile.recognizer.Recognizer
import action.mobile.recognizer.Seen
import action.mobile.recognizer.part
import java.util.concurrent.Executor
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicLong

/** What a stream tells, on the model's thread. */
interface LiveListener {
    fun recognized(figures: Figures, ended: Event?)

    /** The program failed and no further frame is taken; [line] says why. */
    fun failed(line: String)
}

/**
 * Camera frames through one [recognizer], on [worker], which runs one task after the other.
 *
 * There is never more than one frame on its way: one that comes while the model is busy is dropped
 * and counted, not queued, so that the model always sees the newest there is.
 */
class LiveStream(
    private val recognizer: Recognizer,
    private val labels: List<String>, // of the logits, in order
    private val worker: Executor,
    private val listener: LiveListener,
) {
    private val busy = AtomicBoolean()
    private val dropped = AtomicLong()
    private val recorder = LatencyRecorder(RECENT)
    private val recognized = RateMeter()
    private val camera = RateMeter() // the camera's thread writes, the model's reads: guarded by itself
    private var medians: Medians? = null
    private var over = false // the model's thread alone
    private var frame: CameraFrame? = null // handed over by the worker's queue
    private val work = Runnable { take() }
    private var looked = Seen() // what the latest frame was seen as; the model's thread alone
    private var turned = 0 // degrees, of that frame

    /** What of the frames the model sees; any thread. What was before a change is another recording. */
    @Volatile
    var seen = looked

    /** A frame of the camera; released here in any case. Called on the camera's thread. */
    fun offer(offered: CameraFrame) {
        synchronized(camera) { camera.add(offered.timestampNanos) }
        if (!busy.compareAndSet(false, true)) {
            dropped.incrementAndGet()
            offered.release()
            return
        }
        frame = offered
        try {
            worker.execute(work)
        } catch (_: RejectedExecutionException) {
            finish(offered) // the app is going away
        }
    }

    /** The camera replaced a frame by a newer one before anybody looked at it. */
    fun skipped() {
        dropped.incrementAndGet()
    }

    /** The camera pauses: what it saw is over, and the event that was open ends. Any thread. */
    fun pause() {
        try {
            worker.execute { if (!over) recognizer.forget()?.let { listener.recognized(figures(null), it) } }
        } catch (_: RejectedExecutionException) {
            // The app is going away.
        }
    }

    /** Gives every further frame back, since the program is about to be closed; on the model's thread. */
    fun retire() {
        over = true
    }

    private fun take() {
        val taken = frame ?: return
        try {
            if (!over) recognize(taken)
        } catch (e: ProgramException) {
            over = true
            listener.failed(e.message ?: e.toString())
        } finally {
            finish(taken)
        }
    }

    private fun recognize(taken: CameraFrame) {
        val seen = seen
        val same = seen == looked && taken.rotation == turned
        val cut = if (same) null else recognizer.forget()
        looked = seen
        turned = taken.rotation
        val picture = taken.picture.part(seen, taken.rotation)
        val moment = recognizer.offer(taken.timestampNanos, picture, taken.rotation, seen.mirrored)
        if (moment == null) return cut?.let { listener.recognized(figures(null), it) } ?: Unit
        recorder.add(moment)
        recognized.add(taken.timestampNanos)
        if (recognizer.taken % EVERY == 1L) medians = medians()
        listener.recognized(figures(moment.answer), moment.ended ?: cut)
    }

    private fun figures(answer: Answer?) = Figures(
        gesture = answer?.current,
        confidence = answer?.let(::confidence) ?: 0.0,
        cameraRate = synchronized(camera) { camera.rate },
        recognizedRate = recognized.rate,
        dropped = dropped.get(),
        missed = recognizer.missed,
        resets = recognizer.resets,
        medians = medians,
    )

    /** That of the gesture that is shown; the best one's while there is none. */
    private fun confidence(answer: Answer): Double =
        answer.current?.let { answer.probabilities[labels.indexOf(it)] } ?: answer.confidence

    private fun medians() = recorder.summaries()?.let {
        Medians(it.preprocess.p50, it.execute.p50, it.postprocess.p50, it.endToEnd.p50)
    }

    private fun finish(done: CameraFrame) {
        frame = null
        done.release()
        busy.set(false)
    }

    private companion object {
        const val RECENT = 100 // frames of the medians: ten seconds
        const val EVERY = 10L // frames from one figure to the next: a person cannot read faster
    }
}
