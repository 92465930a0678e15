package action.mobile.app.bundles

import action.mobile.app.FakeAssets
import action.mobile.app.TinyBundle
import action.mobile.recognizer.Bundle
import java.io.File
import java.io.InputStream
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class BundleStoreTest {
    @TempDir
    lateinit var pushed: File

    @Test
    fun `bundles of both places are listed by name, and the pushed one of two wins`() {
        val assets = FakeAssets(TinyBundle("b").asset() + TinyBundle("c").asset())
        TinyBundle("a").write(pushed)
        TinyBundle("b", "vulkan").write(pushed)
        val found = BundleStore(assets, pushed).list()
        assertEquals(listOf("a", "b", "c"), found.map { it.name })
        assertEquals(listOf("xnnpack", "vulkan", "xnnpack"), found.map { it.manifest?.target })
    }

    @Test
    fun `a bundle in the assets opens whole`() {
        val found = BundleStore(FakeAssets(TinyBundle("a").asset()), null).list().single()
        assertEquals("a", Bundle.open(found.files).manifest.name)
    }

    @Test
    fun `what is no bundle has a line that says so`() {
        File(pushed, "empty").mkdir()
        TinyBundle("cut").write(pushed).let { File(it, "manifest.json").writeText("{") }
        val (cut, empty) = BundleStore(FakeAssets(emptyMap()), pushed).list()
        assertNull(cut.manifest)
        assertTrue(cut.problem!!.startsWith("cut: "), cut.problem)
        assertTrue("manifest.json" in empty.problem!!, empty.problem)
    }

    @Test
    fun `of a manifest without an end no more is read than a manifest has`() {
        val endless = object : AssetTree {
            override fun list(folder: String) = if (folder == "bundles") listOf("a") else listOf("manifest.json")

            override fun open(path: String) = object : InputStream() {
                override fun read() = ' '.code
            }
        }
        val found = BundleStore(endless, null).list().single()
        assertTrue("are no manifest" in found.problem!!, found.problem)
    }

    @Test
    fun `exports under way and loose files are passed over`() {
        File(pushed, ".a.123").mkdir()
        File(pushed, "notes.txt").writeText("")
        assertEquals(emptyList<Any>(), BundleStore(FakeAssets(emptyMap()), pushed).list())
    }

    @Test
    fun `a device without shared storage has what is in the assets`() {
        assertEquals(1, BundleStore(FakeAssets(TinyBundle("a").asset()), null).list().size)
        assertEquals(1, BundleStore(FakeAssets(TinyBundle("a").asset()), File(pushed, "missing")).list().size)
    }
}
