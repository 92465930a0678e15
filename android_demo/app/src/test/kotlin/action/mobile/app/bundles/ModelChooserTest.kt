package action.mobile.app.bundles

import action.mobile.app.FakeAssets
import action.mobile.app.FakeNotes
import action.mobile.app.FakePrograms
import action.mobile.app.TinyBundle
import action.mobile.recognizer.BundleException
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class ModelChooserTest {
    @TempDir
    lateinit var root: File

    private val cpu = TinyBundle("cpu")
    private val gpu = TinyBundle("gpu", "vulkan")
    private val notes = FakeNotes()
    private val programs = FakePrograms()

    private fun chooser(vararg bundles: TinyBundle, os: String = "16"): ModelChooser {
        val files = bundles.map { it.asset() }.fold(emptyMap<String, ByteArray>()) { all, one -> all + one }
        val store = BundleStore(FakeAssets(files), File(root, "pushed"))
        return ModelChooser(store, ArtifactCopies(File(root, "artifacts")), CheckMemory(notes, os), programs)
    }

    private fun failure(task: () -> Unit): String = assertThrows(BundleException::class.java, task).message!!

    @Test
    fun `without a wish it is XNNPACK, checked once`() {
        val chosen = chooser(gpu, cpu).choose(null)
        assertEquals("cpu", chosen.folder)
        assertNull(chosen.fallback)
        assertEquals(listOf("cpu", "gpu"), chosen.choices.map { it.name })
        assertEquals(1, programs.opened.single().closed)
        chooser(gpu, cpu).choose(null)
        assertEquals(1, programs.opened.size, "the golden clip is remembered")
    }

    @Test
    fun `another version of the system is checked again`() {
        chooser(cpu).choose(null)
        chooser(cpu, os = "17").choose(null)
        assertEquals(2, programs.opened.size)
    }

    @Test
    fun `a wish that computes nonsense falls back and says why`() {
        programs.wrong += "vulkan"
        val chosen = chooser(gpu, cpu).choose("gpu")
        assertEquals("cpu", chosen.folder)
        assertTrue(chosen.fallback!!.startsWith("gpu is not used: vulkan is "), chosen.fallback)
    }

    @Test
    fun `a driver that fails falls back`() {
        programs.broken["vulkan"] = "no Vulkan device"
        val chosen = chooser(gpu, cpu).choose("gpu")
        assertEquals("cpu", chosen.folder)
        assertEquals("gpu is not used: no Vulkan device", chosen.fallback)
    }

    @Test
    fun `a failure is remembered, and tried again when a person asks`() {
        programs.wrong += "vulkan"
        chooser(gpu, cpu).choose("gpu")
        programs.wrong.clear()
        assertEquals("cpu", chooser(gpu, cpu).choose("gpu").folder)
        assertEquals("gpu", chooser(gpu, cpu).choose("gpu", again = true).folder)
        assertEquals("gpu", chooser(gpu, cpu).choose("gpu").folder, "a pass is remembered as well")
    }

    @Test
    fun `a check that took the process with it is not walked into again`() {
        CheckMemory(notes, "16").begin(gpu.sha256)
        val chosen = chooser(gpu, cpu).choose("gpu")
        assertEquals("cpu", chosen.folder)
        assertTrue("the app ended while it was checked" in chosen.fallback!!, chosen.fallback)
    }

    @Test
    fun `the only bundle is checked again, whatever it did before`() {
        CheckMemory(notes, "16").begin(cpu.sha256)
        assertEquals("cpu", chooser(cpu).choose(null).folder)
    }

    @Test
    fun `nothing to fall back to is a problem with a reason`() {
        programs.wrong += "vulkan"
        assertTrue("golden clip" in failure { chooser(gpu).choose(null) })
        programs.broken["xnnpack"] = "no such file"
        val line = failure { chooser(gpu, cpu).choose("gpu") }
        assertTrue("gpu is not used" in line && "cpu is not used: no such file" in line, line)
    }

    @Test
    fun `no bundle at all names the way to one`() {
        assertTrue("mobile_export" in failure { chooser().choose(null) })
    }

    @Test
    fun `a wish that is not there is told, with what is`() {
        val chosen = chooser(cpu).choose("gone")
        assertEquals(listOf("there is no bundle gone; there are cpu"), chosen.notices)
    }

    @Test
    fun `a damaged bundle falls back when it was wanted and is told when it was not`() {
        File(root, "pushed/bad").mkdirs()
        assertTrue("bad" in chooser(cpu).choose("bad").fallback!!)
        val chosen = chooser(cpu).choose(null)
        assertNull(chosen.fallback)
        assertTrue("bad" in chosen.notices.single())
    }

    @Test
    fun `a changed file is found before anything runs`() {
        val folder = cpu.write(File(root, "pushed"))
        File(folder, "model.pte").appendText("!")
        assertTrue("model.pte" in failure { chooser().choose(null) })
        assertEquals(0, programs.opened.size)
    }

    @Test
    fun `a program that breaks down live is replaced and remembered`() {
        val chooser = chooser(gpu, cpu)
        val running = chooser.choose("gpu")
        val next = chooser.replace(running, "device lost")
        assertEquals("cpu", next.folder)
        assertEquals("gpu is not used: device lost", next.fallback)
        assertEquals("cpu", chooser(gpu, cpu).choose("gpu").folder)
        assertTrue("device lost" in failure { chooser(cpu).let { it.replace(it.choose(null), "device lost") } })
    }
}
