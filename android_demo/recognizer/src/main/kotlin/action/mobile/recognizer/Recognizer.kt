package action.mobile.recognizer

/**
 * What came of a frame that was taken. The [Recognizer] fills the same object every time: whoever
 * keeps something of it, or shows it on another thread, copies that.
 */
class Moment internal constructor() {
    /** The frame's time stamp. */
    var seconds = 0.0
        internal set

    lateinit var answer: Answer
        internal set

    /** Ticks before this one that no frame came for. */
    var missed = 0
        internal set

    /** Whether state and decision were forgotten before this frame. */
    var reset = false
        internal set

    /** The event that closed with this frame, or with a reset before it. */
    var ended: Event? = null
        internal set

    var preprocessNanos = 0L
        internal set
    var executeNanos = 0L
        internal set
    var postprocessNanos = 0L
        internal set

    /** From the picture to the decision; the stages follow each other without a gap. */
    val totalNanos: Long get() = preprocessNanos + executeNanos + postprocessNanos
}

/**
 * One stream: ticks, pre-processing, program with its state, decision rule. Allocates nothing in a
 * frame, but an [Event] when one closes. Not safe for several threads: the camera's thread owns it.
 *
 * The program is the caller's to close.
 */
class Recognizer(
    manifest: Manifest,
    program: Program,
    private val clock: Clock = Clock.SYSTEM,
) {
    private val ticks = Ticks(manifest.input.frameRate, manifest.resetAfterMissed)
    private val preprocessor = Preprocessor(manifest.input)
    private val session = StreamSession(manifest, program)
    private val decider = Decider(manifest.decision)
    private val moment = Moment()

    /** Frames that were taken so far. */
    var taken = 0L
        private set

    /** Ticks that no frame came for. */
    var missed = 0L
        private set

    /** How often state and decision were forgotten because of time stamps. */
    var resets = 0L
        private set

    /**
     * Offers a frame with its time stamp (of one clock, ascending: a camera's
     * `Image.getTimestamp()`); null when no tick is due for it. [rotation] and [mirrored] are those of
     * [Preprocessor.process]. The moment is the same object every time.
     *
     * Throws [ProgramException] when the program fails or gives logits that are not finite, and
     * [IllegalArgumentException] as [Preprocessor.process] does.
     */
    fun offer(timestampNanos: Long, frame: YuvFrame, rotation: Int, mirrored: Boolean = false): Moment? {
        val seconds = timestampNanos / NANOS_A_SECOND
        if (!ticks.frame(seconds)) return null
        moment.ended = if (ticks.reset) clear() else null
        if (ticks.reset) resets++
        taken++
        missed += ticks.missed
        val began = clock.nanos()
        preprocessor.process(frame, rotation, mirrored, session.frame)
        val ready = clock.nanos()
        val logits = session.step()
        val called = clock.nanos()
        val answer = decider.update(seconds, logits)
        val done = clock.nanos()
        moment.seconds = seconds
        moment.answer = answer
        moment.missed = ticks.missed
        moment.reset = ticks.reset
        // A frame right after a reset closes nothing, so there is never a second event.
        moment.ended = answer.ended ?: moment.ended
        moment.preprocessNanos = ready - began
        moment.executeNanos = called - ready
        moment.postprocessNanos = done - called
        return moment
    }

    /** Back to before the first frame; the event that was open. For a stream that ends or pauses. */
    fun forget(): Event? {
        ticks.restart()
        return clear()
    }

    private fun clear(): Event? {
        session.reset()
        return decider.reset()
    }

    private companion object {
        const val NANOS_A_SECOND = 1e9
    }
}
