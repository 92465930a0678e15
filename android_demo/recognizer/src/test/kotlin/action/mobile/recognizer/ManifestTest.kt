package action.mobile.recognizer

import com.networknt.schema.InputFormat
import com.networknt.schema.SchemaRegistry
import com.networknt.schema.SpecificationVersion
import java.io.File
import java.util.Random
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

private const val MUTATIONS = 20_000

class ManifestTest {
    private val text = String(resource("manifest.json"))

    @Test
    fun `an exporter's manifest is read whole`() {
        val manifest = Manifest.parse(text)
        assertEquals("mobilenet_v2-action-stream-xnnpack-int8", manifest.name)
        assertEquals(27, manifest.labels.size)
        assertEquals(listOf(1, 3, 112, 112), manifest.input.tensor.shape)
        assertEquals(listOf(0, 2, 3, 1), manifest.input.tensor.dimOrder)
        assertEquals(30, manifest.state.size)
        assertEquals(31, manifest.outputs.size)
        assertEquals(10.0, manifest.input.frameRate)
        assertEquals(setOf("No gesture", "Doing other things"), manifest.decision.noneLabels)
        assertEquals(1, manifest.delegateCalls)
        assertEquals(0, manifest.operatorsOutside)
        assertFalse(manifest.interpreted)
        assertEquals(listOf(8, 27), manifest.golden.logits.shape)
        assertEquals("1.5.1", manifest.tools["executorch"])
    }

    @Test
    fun `a manifest with the verdict of its gate is read, and one from before`() {
        assertFalse("verdict" in text)
        val with = "\"verdict\": \"not shown\", \"gate_interval\": [-1.5, 1.5], \"max_drop\":"
        assertEquals(27, Manifest.parse(text.replace("\"max_drop\":", with)).labels.size)
        refused("$.accuracy.verdict", "\"max_drop\":" to with.replace("not shown", "fine"))
    }

    @Test
    fun `a manifest of a bundle that failed its check says why`() {
        val with = "\"failures\": [\"it is off\"], \"max_drop\":"
        assertEquals(27, Manifest.parse(text.replace("\"max_drop\":", with)).labels.size)
        refused("$.accuracy.failures", "\"max_drop\":" to with.replace("[\"it is off\"]", "[]"))
    }

    @Test
    fun `a manifest says which classes its labels hold`() {
        val with = "\"classes\": {\"hand\": [\"Thumb Up\", \"*\"]}, \"labels\":"
        assertEquals(27, Manifest.parse(text.replace("\"labels\":", with)).labels.size)
        refused("$.classes.hand", "\"labels\":" to with.replace("[\"Thumb Up\", \"*\"]", "1"))
    }

    @Test
    fun `the small bundle of these tests follows the schema`() {
        val schema = File(repository, "mobile_export/bundle/manifest.schema.json").readText()
        val registry = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12)
        val small = String(smallBundle().files.getValue("manifest.json"))
        for (manifest in listOf(text, small)) {
            assertEquals(emptyList<Any>(), registry.getSchema(schema).validate(manifest, InputFormat.JSON))
        }
    }

    @Test
    fun `what cannot be used is refused with the reason`() {
        refused("schema 4", "\"schema\": 3" to "\"schema\": 4")
        refused("export with --form stream", "\"form\": \"stream\"" to "\"form\": \"clip\"")
        refused("export with --target", "\"target\": \"xnnpack\"" to "\"target\": \"coreml\"")
        refused("is not float32", "\"dtype\": \"float32\",\n    \"shape" to "\"dtype\": \"float16\",\n    \"shape")
        refused("as Core ML takes it", "\"kind\": \"tensor\"" to "\"kind\": \"image\"")
        refused("$.surplus", "\"name\": \"mobile" to "\"surplus\": 1, \"name\": \"mobile", "has \"surplus\"")
        refused("\"name\" occurs twice", "\"target\":" to "\"name\": \"x\", \"target\":")
        refused("$.decision.threshold is 1.5", "\"threshold\": 0.8" to "\"threshold\": 1.5")
        refused("$.labels has a label twice", "\"Drumming Fingers\"" to "\"No gesture\"")
        refused("$.artifact.file", "\"file\": \"model.pte\"" to "\"file\": \"../model.pte\"")
        refused("a value is missing", "\"threshold\": 0.8" to "\"threshold\": NaN")
        refused("$.state does not match the outputs", "\"output\": \"state_3_shift_out\"" to "\"output\": \"other\"")
        val square = "\"shape\": [\n        1,\n        3,\n        28,\n        28"
        refused("going in as", square to square.dropLast(1) + "7")
        refused("$.input has no frame_rate", ",\n    \"frame_rate\": 10.0\n" to "\n")
    }

    private fun refused(reason: String, change: Pair<String, String>, other: String = reason) {
        val changed = text.replaceFirst(change.first, change.second)
        assertTrue(changed != text) { "${change.first} is not in the manifest" }
        val error = assertThrows(BundleException::class.java) { Manifest.parse(changed) }
        assertTrue(reason in error.message!! || other in error.message!!) { error.message }
        assertFalse('\n' in error.message!!)
    }

    @Test
    fun `a mutated manifest is read or refused, nothing else`() {
        val random = Random(5)
        var read = 0
        repeat(MUTATIONS) {
            val mutant = mutated(random)
            try {
                Manifest.parse(mutant)
                read++
            } catch (error: BundleException) {
                assertFalse('\n' in error.message!!) { error.message }
                assertTrue(error.message!!.length < 400) { error.message }
            }
        }
        assertTrue(read in 1 until MUTATIONS / 2) { "$read of $MUTATIONS were read" }
    }

    /** The manifest with up to three pieces removed, repeated, replaced or exchanged. */
    private fun mutated(random: Random): String {
        val mutant = StringBuilder(text)
        repeat(1 + random.nextInt(3)) {
            val at = random.nextInt(mutant.length)
            val end = (at + 1 + random.nextInt(1 + random.nextInt(60))).coerceAtMost(mutant.length)
            when (random.nextInt(6)) {
                0 -> mutant.delete(at, end)
                1 -> mutant.insert(at, mutant.substring(at, end))
                2 -> mutant.setCharAt(at, random.nextInt(128).toChar())
                3 -> mutant.replace(at, at + 1, TOKENS[random.nextInt(TOKENS.size)])
                4 -> mutant.setLength(at)
                else -> replaceNumber(mutant, at, random)
            }
            if (mutant.isEmpty()) mutant.append(text)
        }
        return mutant.toString()
    }

    private fun replaceNumber(mutant: StringBuilder, from: Int, random: Random) {
        val match = NUMBER.find(mutant, from) ?: return
        mutant.replace(match.range.first, match.range.last + 1, TOKENS[random.nextInt(TOKENS.size)])
    }

    @Test
    fun `deep, long and odd texts are refused`() {
        for (bad in listOf(
            "", " ", "[".repeat(100_000), "{\"a\":".repeat(5000), "1".repeat(100_000), "x".repeat(5_000_000),
            "[1e999]", "\"\\u12\"", "\"\\x\"", "[1,]", "{\"a\" 1}", "[01]", "+1", ".5", "1.", "nul", "\"\u0001\"",
            "[] []", "\"open", "[]", "null", "{}", "{\"schema\": \"2\"}", "\uFEFF{}",
        )) {
            val error = assertThrows(BundleException::class.java) { Manifest.parse(bad) }
            assertFalse('\n' in error.message!!)
        }
        assertEquals("é\"\\\n/\u0001😀", Json.parse("\"\\u00e9\\\"\\\\\\n\\/\\u0001😀\""))
        assertEquals(listOf(-0.5, 1e3, true, null), Json.parse("[-0.5, 1E+3, true, null]"))
    }

    @Test
    fun `what is written can be read`() {
        val text = mapOf("c" to "\"é\\\u0001\n😀")
        val value = mapOf("a" to listOf(1.0, 2.5), "b" to text, "d" to listOf(listOf<Double>()), "e" to null, "f" to 1e-7)
        assertEquals(value, Json.parse(Json.write(value)))
        assertThrows(IllegalArgumentException::class.java) { Json.write(Double.NaN) }
    }

    private companion object {
        val NUMBER = Regex("-?[0-9][0-9.eE+-]*")
        val TOKENS = listOf(
            "null", "-1", "0", "1e308", "1e-308", "2147483648", "0.5", "\"\"", "[]", "{}", "true", "\"\\ud800\"",
            "[[[[", "}", "1e999", "9".repeat(70), "\"stream\"", "2048", "[0,1,2,3]", "-0", "\u2028", "\n", ":", ",",
        )
    }
}
