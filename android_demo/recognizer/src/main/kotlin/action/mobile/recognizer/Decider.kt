package action.mobile.recognizer

import kotlin.math.exp
import kotlin.math.max

/** The numbers of a manifest's `decision` and the labels of the logits. */
data class Rule(
    val labels: List<String>,
    val noneLabels: Set<String>,
    val window: Int, // frames in the mean of the logits
    val threshold: Double, // least probability of an answer
    val agree: Int, // frames in a row that a new answer needs
    val release: Int, // frames in a row without its label that end an event
)

/** One gesture. Times are those of the first and the last frame that its label won, in seconds. */
data class Event(
    val label: String,
    val start: Double,
    val end: Double,
    val confidence: Double, // the largest probability of its label among these frames
)

/**
 * What one frame says; null stands for *none*. The [Decider] fills the same object for every frame:
 * whoever keeps something of it copies that.
 */
class Answer internal constructor(labels: Int) {
    /** This frame's own answer. */
    var winner: String? = null
        internal set

    /** Probability of the best label that is a gesture. */
    var confidence = 0.0
        internal set

    /** Of all labels, in their order. */
    val probabilities = DoubleArray(labels)

    /** Label of the event that is open after this frame. */
    var current: String? = null
        internal set

    /** Label of an event that opens with this frame. */
    var started: String? = null
        internal set

    /** The event that closes with this frame. */
    var ended: Event? = null
        internal set
}

/**
 * The decision rule, frame by frame; `docs/bundle.md`, Deciding. Allocates nothing but an [Event]
 * when one closes.
 */
class Decider(private val rule: Rule) {
    private val answer = Answer(rule.labels.size)
    private val gestures = rule.labels.indices.filter { rule.labels[it] !in rule.noneLabels }.toIntArray()
    private val rows = Array(rule.window) { DoubleArray(rule.labels.size) } // a ring of logits
    private var held = 0 // rows that count
    private var next = 0 // the row that is written next
    private var winner = NONE // of the latest frame
    private var since = 0.0 // of the run of equal winners
    private var count = 0
    private var best = 0.0
    private var open = NONE // label of the open event
    private var start = 0.0
    private var end = 0.0
    private var most = 0.0
    private var without = 0 // frames in a row that the open event's label has not won

    /** Forgets logits and runs; the event that this closes, if one was open. */
    fun reset(): Event? {
        val ended = close()
        held = 0
        next = 0
        winner = NONE
        count = 0
        without = 0
        return ended
    }

    /** Takes the logits of the frame of [time], in seconds; the answer is the same object each time. */
    fun update(time: Double, logits: FloatArray): Answer {
        keep(logits)
        chances(answer.probabilities)
        var top = NONE
        for (i in gestures) if (top == NONE || answer.probabilities[i] > answer.probabilities[top]) top = i
        val confidence = if (top == NONE) 0.0 else answer.probabilities[top]
        val won = if (top != NONE && confidence >= rule.threshold) top else NONE
        if (won != winner || count == 0) {
            winner = won
            since = time
            count = 0
            best = 0.0
        }
        count++
        best = max(best, confidence)
        answer.ended = follow(won, time, confidence)
        answer.started = label(begin(time))
        answer.winner = label(won)
        answer.confidence = confidence
        answer.current = label(open)
        return answer
    }

    private fun label(index: Int): String? = if (index == NONE) null else rule.labels[index]

    private fun keep(logits: FloatArray) {
        val row = rows[next]
        for (i in row.indices) row[i] = logits[i].toDouble()
        next = (next + 1) % rule.window
        if (held < rule.window) held++
    }

    /** Softmax of the mean; the largest is taken off first, so that nothing overflows. */
    private fun chances(into: DoubleArray) {
        into.fill(0.0)
        // From the oldest on, as every implementation sums them.
        for (age in held downTo 1) {
            val row = rows[(next - age + rule.window) % rule.window]
            for (i in into.indices) into[i] += row[i]
        }
        var largest = Double.NEGATIVE_INFINITY
        for (i in into.indices) {
            into[i] /= held.toDouble()
            largest = max(largest, into[i])
        }
        var total = 0.0
        for (i in into.indices) {
            into[i] = exp(into[i] - largest)
            total += into[i]
        }
        for (i in into.indices) into[i] /= total
    }

    /** Lengthens the open event or counts a frame against it; the event if this closes it. */
    private fun follow(won: Int, time: Double, confidence: Double): Event? {
        if (open == NONE) return null
        if (won == open) {
            end = time
            most = max(most, confidence)
            without = 0
            return null
        }
        without++
        return if (without < rule.release) null else close()
    }

    /** Opens an event when none is open and the latest frames agree on a gesture; its label. */
    private fun begin(time: Double): Int {
        if (open != NONE || winner == NONE || count < rule.agree) return NONE
        open = winner
        start = since
        end = time
        most = best
        without = 0
        return open
    }

    private fun close(): Event? {
        if (open == NONE) return null
        val event = Event(rule.labels[open], start, end, most)
        open = NONE
        return event
    }

    private companion object {
        const val NONE = -1
    }
}
