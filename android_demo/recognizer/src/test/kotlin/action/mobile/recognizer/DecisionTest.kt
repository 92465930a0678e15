package action.mobile.recognizer

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

private const val ROUNDING = 2e-9 // the vectors have nine decimals

/** Ticks and decisions against the answers that every implementation gives. */
class DecisionTest {
    private fun vectors(name: String) = jsonObject(File(repository, "tests/vectors/$name").readText())

    @TestFactory
    fun `ticks answer as the vectors say`(): List<DynamicTest> = vectors("ticks.json").objects("cases").map { case ->
        dynamicTest(case["name"] as String) {
            val ticks = Ticks(case["rate"] as Double, case.int("reset_after_missed"))
            case.numbers("times").zip(case.objects("answers")) { time, answer ->
                assertEquals(answer["take"], ticks.frame(time), "$time")
                assertEquals(answer.int("missed"), ticks.missed, "$time")
                assertEquals(answer["reset"], ticks.reset, "$time")
            }
        }
    }

    @TestFactory
    fun `decisions answer as the vectors say`(): List<DynamicTest> {
        val file = vectors("decision.json")
        @Suppress("UNCHECKED_CAST")
        val labels = file["labels"] as List<String>
        return file.objects("cases").map { case -> dynamicTest(case["name"] as String) { follow(case, labels) } }
    }

    private fun follow(case: Map<String, Any?>, labels: List<String>) {
        val decider = Decider(rule(case.child("rule"), labels))
        case.objects("steps").zip(case.objects("answers")) { step, expected ->
            if ("reset" in step) {
                same(expected["ended"], decider.reset())
            } else {
                val logits = step.numbers("logits").map { it.toFloat() }.toFloatArray()
                val answer = decider.update(step["time"] as Double, logits)
                assertEquals(expected["winner"], answer.winner)
                assertEquals(expected["current"], answer.current)
                assertEquals(expected["started"], answer.started)
                // The logits of the vectors have three decimals, those of a program are floats.
                assertEquals(expected["confidence"] as Double, answer.confidence, ROUNDING + FLOATS)
                assertEquals(1.0, answer.probabilities.sum(), 1e-12)
                same(expected["ended"], answer.ended)
            }
        }
    }

    private fun rule(rule: Map<String, Any?>, labels: List<String>) = Rule(
        labels = labels,
        noneLabels = (rule["none_labels"] as List<*>).map { it as String }.toSet(),
        window = rule.int("window"),
        threshold = rule["threshold"] as Double,
        agree = rule.int("agree"),
        release = rule.int("release"),
    )

    private fun same(expected: Any?, event: Event?) {
        val wanted = expected as Map<*, *>?
        assertEquals(wanted?.get("label"), event?.label)
        if (wanted == null || event == null) return
        assertEquals(wanted["start"] as Double, event.start, ROUNDING)
        assertEquals(wanted["end"] as Double, event.end, ROUNDING)
        assertEquals(wanted["confidence"] as Double, event.confidence, ROUNDING + FLOATS)
    }

    @Test
    fun `a stream of a hundred thousand frames allocates its events alone`() {
        val labels = listOf("none", "left", "right")
        val decider = Decider(Rule(labels, setOf("none"), window = 8, threshold = 0.5, agree = 2, release = 3))
        val ticks = Ticks(10.0, 5)
        val logits = Array(3) { best -> FloatArray(3) { if (it == best) 5f else 0f } }
        var events = 0
        fun run(from: Int, to: Int) {
            for (i in from until to) {
                check(ticks.frame(i / 10.0))
                if (decider.update(i / 10.0, logits[i / 50 % 3]).ended != null) events++
            }
        }
        run(0, 20_000)
        val before = allocatedBytes()
        events = 0
        run(20_000, 120_000)
        val bytes = allocatedBytes() - before
        assertTrue(events > 1000)
        assertTrue(bytes <= events * EVENT_BYTES + SLACK) { "$bytes bytes for $events events" }
    }

    private companion object {
        const val FLOATS = 1e-6
        const val EVENT_BYTES = 64
        const val SLACK = 100_000 // what the JVM itself does now and then
    }
}
