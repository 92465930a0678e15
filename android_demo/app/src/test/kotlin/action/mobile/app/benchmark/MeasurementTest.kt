package action.mobile.app.benchmark

import action.mobile.app.FakeAssets
import action.mobile.app.FakeNotes
import action.mobile.app.FakeProbe
import action.mobile.app.FakePrograms
import action.mobile.app.TinyBundle
import action.mobile.app.bundles.ArtifactCopies
import action.mobile.app.bundles.BundleStore
import action.mobile.app.bundles.CheckMemory
import action.mobile.app.bundles.ChosenModel
import action.mobile.app.bundles.ModelChooser
import action.mobile.app.bundles.TimedPrograms
import com.networknt.schema.InputFormat
import com.networknt.schema.SchemaRegistry
import com.networknt.schema.SpecificationVersion
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class MeasurementTest {
    @TempDir
    lateinit var root: File

    private val fakes = FakePrograms()
    private var now = 0L
    private val programs = TimedPrograms(fakes) { now += 1_000_000; now }
    private val folder get() = File(root, "reports")

    private fun model(wanted: String): ChosenModel {
        val files = TinyBundle("cpu").asset() + TinyBundle("gpu", "vulkan").asset()
        val store = BundleStore(FakeAssets(files), null)
        return ModelChooser(store, ArtifactCopies(File(root, "a")), CheckMemory(FakeNotes(), ""), programs).choose(wanted)
    }

    private fun measurement() = Measurement(
        programs,
        Surroundings(FakeProbe.device, FakeProbe, mapOf("app" to "0.1.0", "executorch" to "1.5.1")),
        ReportFolder(folder),
        wall = { 1_000_000_000_000 },
    )

    @Test
    fun `a report follows the schema and tells of the fall-back`() {
        fakes.wrong += "vulkan"
        val written = measurement().run(model("gpu"), BenchmarkRequest(iterations = 5, seconds = 0), { true })
        assertNotNull(written)
        val json = File(written!!.path).readText()
        assertTrue("gpu is not used: vulkan is" in json, json)
        assertTrue("\"Google Pixel 8, cpu, 20010909-014640\"" in json, json)
        assertEquals("cpu-20010909-014640.json", written.file)
        assertEquals("xnnpack", written.backend)
        // The validator takes no relative address of a schema.
        val schema = File(System.getProperty("repository"), "docs/latency.schema.json").readText()
            .replace("\"\$id\": \"latency.schema.json\",", "")
        val problems = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12).getSchema(schema)
            .validate(json, InputFormat.JSON)
        assertEquals(emptyList<Any>(), problems)
    }

    @Test
    fun `the load that the report names is the first of the process`() {
        val model = model("cpu")
        val first = programs.firstLoadMs(model.bundle.manifest)
        assertEquals(1.0, first, "the self-check's")
        val written = measurement().run(model, BenchmarkRequest(iterations = 1, seconds = 0), { true })!!
        assertTrue(Regex("\"cold_load_ms\": ?1(\\.0)?[,\\s]").containsMatchIn(File(written.path).readText()))
    }

    @Test
    fun `a measurement that is stopped writes nothing`() {
        assertNull(measurement().run(model("cpu"), BenchmarkRequest(iterations = 1, seconds = 60), { false }))
        assertNull(folder.list())
    }
}
