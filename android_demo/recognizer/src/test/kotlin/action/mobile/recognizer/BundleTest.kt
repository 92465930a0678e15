package action.mobile.recognizer

import java.io.File
import java.io.IOException
import java.io.InputStream
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class BundleTest {
    @Test
    fun `a whole bundle opens, from memory and from a folder`(@TempDir folder: File) {
        for (files in listOf(smallBundle(), smallBundle().writeTo(folder))) {
            val bundle = Bundle.open(files)
            assertEquals(LABELS, bundle.manifest.labels)
            assertEquals(GOLDEN_FRAMES, bundle.goldenLogits().size)
            assertEquals(GOLDEN_FRAMES * 3 * SIDE * SIDE, bundle.goldenPixels().size)
            assertEquals(List(GOLDEN_FRAMES) { 3 * SIDE * SIDE }, bundle.goldenInputs().map { it.capacity() })
        }
    }

    @Test
    fun `what is missing or damaged is named`(@TempDir folder: File) {
        refused("holds no manifest.json", FolderFiles(folder))
        for (name in smallBundle().files.keys - "manifest.json") {
            refused("$name, which the manifest names, does not exist", smallBundle().apply { files.remove(name) })
            refused("$name has SHA-256", smallBundle().apply { files.getValue(name)[5]++ })
            refused("$name has 3 bytes", smallBundle().apply { files[name] = ByteArray(3) })
            refused("$name cannot be read (worn out)", Failing(name))
        }
        val noise = byteArrayOf(0, 1, -1)
        refused("memory/manifest.json: not JSON", smallBundle().apply { files["manifest.json"] = noise })
        refused("are no manifest", smallBundle().apply { files["manifest.json"] = ByteArray(5 shl 20) })
    }

    private fun refused(reason: String, files: BundleFiles) {
        val error = assertThrows(BundleException::class.java) { Bundle.open(files) }
        assertTrue(reason in error.message!!) { error.message }
        assertFalse('\n' in error.message!!)
    }

    /** A storage that fails when [name] is read. */
    private class Failing(
        private val name: String,
        private val inner: MemoryFiles = smallBundle(),
    ) : BundleFiles by inner {
        override fun open(name: String): InputStream {
            if (name != this.name) return inner.open(name)
            return object : InputStream() {
                override fun read(): Int = throw IOException("worn out")
            }
        }
    }

    @Test
    fun `the golden clip tells a right program from a wrong one`() {
        val bundle = Bundle.open(smallBundle())
        val right = selfCheck(bundle, CountingProgram())
        assertTrue(right.passed)
        assertTrue(right.deviation < 1e-6)
        assertEquals(0.05, right.tolerance)
        val off = selfCheck(bundle, changing { it * 1.1f })
        assertFalse(off.passed)
        assertEquals(0.1, off.deviation, 1e-5)
        assertTrue("fake is 0.100 of the largest logit" in off.reason!!) { off.reason }
        assertTrue(selfCheck(bundle, changing { it * 1.04f }).passed)
        val nan = selfCheck(bundle, changing { Float.NaN })
        assertFalse(nan.passed)
        assertTrue("not finite" in nan.reason!!)
        val failing = object : CountingProgram() {
            override fun run(inputs: Array<java.nio.FloatBuffer>, outputs: Array<java.nio.FloatBuffer>) =
                throw ProgramException("the driver is gone")
        }
        assertEquals("the driver is gone", selfCheck(bundle, failing).reason)
    }

    private fun changing(change: (Float) -> Float) = object : CountingProgram() {
        override fun run(inputs: Array<java.nio.FloatBuffer>, outputs: Array<java.nio.FloatBuffer>) {
            super.run(inputs, outputs)
            for (i in 0 until outputs[0].capacity()) outputs[0].put(i, change(outputs[0].get(i)))
        }
    }
}
