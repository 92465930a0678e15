package action.mobile.app.bundles

import action.mobile.recognizer.Bundle
import action.mobile.recognizer.BundleException
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.nio.file.Files
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.security.MessageDigest

/**
 * Artifacts as files of the app: the runtime opens a path, assets have none, and what was pushed may
 * be overwritten while it is mapped into memory. A copy is named by its hash and appears whole.
 */
class ArtifactCopies(private val folder: File) {
    /**
     * The copy of [bundle]'s artifact; made when there is none yet, or a damaged one.
     *
     * Throws [BundleException] when it cannot be written or is not what the manifest says.
     */
    fun of(bundle: Bundle): File {
        val entry = bundle.manifest.artifact
        val copy = File(folder, entry.sha256 + SUFFIX)
        try {
            if (copy.length() == entry.bytes && copy.inputStream().use { digest(it) } == entry.sha256) return copy
            folder.mkdirs()
            val part = File(folder, "${entry.sha256}.part")
            val found = bundle.files.open(entry.file).use { from ->
                part.outputStream().use { to -> digest(from, to).also { to.fd.sync() } }
            }
            if (found != entry.sha256) {
                part.delete()
                val place = "${bundle.files.place}/${entry.file}"
                throw BundleException("$place changed while it was copied: copy the bundle again")
            }
            Files.move(part.toPath(), copy.toPath(), ATOMIC_MOVE)
        } catch (e: IOException) {
            throw BundleException("${entry.file} cannot be copied to $folder: ${e.message}; free some storage")
        }
        return copy
    }

    /** Deletes the copies of other artifacts than those with the hashes [keep]. */
    fun prune(keep: Set<String>) {
        folder.listFiles()?.filter { it.name.removeSuffix(SUFFIX) !in keep }?.forEach { it.delete() }
    }

    private fun digest(from: InputStream, to: OutputStream? = null): String {
        val sha256 = MessageDigest.getInstance("SHA-256")
        val buffer = ByteArray(BUFFER)
        while (true) {
            val got = from.read(buffer)
            if (got < 0) break
            sha256.update(buffer, 0, got)
            to?.write(buffer, 0, got)
        }
        return sha256.digest().joinToString("") { "%02x".format(it) }
    }

    private companion object {
        const val SUFFIX = ".pte"
        const val BUFFER = 1 shl 16
    }
}
