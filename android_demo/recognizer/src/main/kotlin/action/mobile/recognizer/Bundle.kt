package action.mobile.recognizer

import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.security.MessageDigest

/** A bundle whose files are all there and are what its manifest says. */
class Bundle private constructor(val files: BundleFiles, val manifest: Manifest) {
    /** The golden inputs as the program takes them, one buffer a frame, little-endian floats. */
    fun goldenInputs(): List<FloatBuffer> {
        val entry = manifest.golden.inputs
        val bytes = whole(entry)
        return List(manifest.golden.frames) {
            ByteBuffer.wrap(bytes, it * entry.bytesAFrame, entry.bytesAFrame).slice()
                .order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        }
    }

    /** The golden logits, (frames, labels). Throws [BundleException]. */
    fun goldenLogits(): Array<FloatArray> {
        val values = ByteBuffer.wrap(whole(manifest.golden.logits)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        val labels = manifest.labels.size
        return Array(manifest.golden.frames) { t -> FloatArray(labels) { values.get(t * labels + it) } }
    }

    /** The golden clip's pixels, RGB bytes (frames, 3, size, size). Throws [BundleException]. */
    fun goldenPixels(): ByteArray = whole(manifest.golden.pixels)

    private fun whole(entry: GoldenFile): ByteArray {
        val bytes = ByteArray(manifest.golden.frames * entry.bytesAFrame)
        reading(files, entry.file) { stream ->
            var got = 0
            while (got < bytes.size) {
                val more = stream.read(bytes, got, bytes.size - got)
                if (more < 0) throw damaged(files, "${entry.file} ends after $got of ${bytes.size} bytes")
                got += more
            }
        }
        return bytes
    }

    companion object {
        /** The file's name in every bundle. */
        const val MANIFEST = "manifest.json"

        private const val MOST_BYTES = 4 shl 20 // of a manifest

        /**
         * Opens the bundle and checks size and hash of every file; reads it all once (about 5 MB).
         *
         * Throws [BundleException] when it is missing, damaged, changed or of no use here.
         */
        fun open(files: BundleFiles): Bundle {
            if (!files.exists(MANIFEST)) {
                throw BundleException("${files.place} holds no $MANIFEST: put the folder of an export there")
            }
            val manifest = try {
                Manifest.parse(manifestText(files))
            } catch (error: BundleException) {
                throw BundleException("${files.place}/$MANIFEST: ${error.message}")
            }
            val artifact = manifest.artifact
            check(files, artifact.file, artifact.bytes, artifact.sha256)
            with(manifest.golden) {
                for (entry in listOf(inputs, pixels, logits)) {
                    check(files, entry.file, frames.toLong() * entry.bytesAFrame, entry.sha256)
                }
            }
            return Bundle(files, manifest)
        }

        /**
         * The manifest's text, of which no more than a manifest can have is read.
         *
         * Throws [BundleException] when it cannot be read or is longer.
         */
        fun manifestText(files: BundleFiles): String = reading(files, MANIFEST) { text(it) }

        private fun text(stream: InputStream): String {
            val bytes = ByteArray(MOST_BYTES + 1)
            var got = 0
            while (got < bytes.size) {
                val more = stream.read(bytes, got, bytes.size - got)
                if (more < 0) return String(bytes, 0, got, Charsets.UTF_8)
                got += more
            }
            throw BundleException("more than $MOST_BYTES bytes are no manifest: export again")
        }

        private fun check(files: BundleFiles, name: String, bytes: Long, sha256: String) {
            if (!files.exists(name)) throw damaged(files, "$name, which the manifest names, does not exist")
            val digest = MessageDigest.getInstance("SHA-256")
            var found = 0L
            reading(files, name) { stream ->
                val part = ByteArray(1 shl 16)
                while (true) {
                    val more = stream.read(part)
                    if (more < 0) break
                    digest.update(part, 0, more)
                    found += more
                }
            }
            if (found != bytes) throw damaged(files, "$name has $found bytes, the manifest says $bytes")
            val hash = digest.digest().joinToString("") { "%02x".format(it) }
            if (hash != sha256) {
                throw damaged(files, "$name has SHA-256 ${hash.take(12)}..., the manifest says ${sha256.take(12)}...")
            }
        }

        private fun damaged(files: BundleFiles, what: String) =
            BundleException("bundle ${files.place}: $what; copy the whole bundle again or export again")

        private fun <T> reading(files: BundleFiles, name: String, read: (InputStream) -> T): T = try {
            files.open(name).use(read)
        } catch (error: IOException) {
            throw damaged(files, "$name cannot be read (${error.message})")
        }
    }
}
