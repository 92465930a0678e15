package action.mobile.app.bundles

import action.mobile.app.TinyBundle
import action.mobile.recognizer.Bundle
import action.mobile.recognizer.BundleException
import action.mobile.recognizer.FolderFiles
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class ArtifactCopiesTest {
    @TempDir
    lateinit var root: File

    private val tiny = TinyBundle("a")
    private val folder get() = File(root, "artifacts")
    private val copies get() = ArtifactCopies(folder)
    private val bundle by lazy { Bundle.open(FolderFiles(tiny.write(root))) }

    @Test
    fun `the artifact becomes a file that is named by its hash`() {
        val copy = copies.of(bundle)
        assertEquals("${tiny.sha256}.pte", copy.name)
        assertEquals("program of a", copy.readText())
        assertEquals(listOf(copy.name), folder.list()!!.toList())
    }

    @Test
    fun `a good copy is used again and a damaged one is made anew`() {
        val copy = copies.of(bundle)
        copy.setLastModified(1_000_000)
        copies.of(bundle)
        assertEquals(1_000_000, copy.lastModified())
        copy.writeText("program of b")
        assertEquals("program of a", copies.of(bundle).readText())
    }

    @Test
    fun `an artifact that changes under the copy is refused and leaves nothing`() {
        bundle
        File(root, "a/model.pte").writeText("program of b")
        assertThrows(BundleException::class.java) { copies.of(bundle) }
        assertEquals(emptyList<String>(), folder.list()!!.toList())
    }

    @Test
    fun `a place that cannot be written to is one line`() {
        folder.writeText("a file is in the way")
        val error = assertThrows(BundleException::class.java) { copies.of(bundle) }
        assertEquals(1, error.message!!.lines().size)
    }

    @Test
    fun `copies of bundles that are gone are deleted`() {
        val copy = copies.of(bundle)
        File(folder, "b".repeat(64) + ".pte").writeText("")
        File(folder, "c".repeat(64) + ".part").writeText("")
        copies.prune(setOf(tiny.sha256))
        assertEquals(listOf(copy.name), folder.list()!!.toList())
    }
}
