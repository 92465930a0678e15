package action.mobile.recognizer

import java.io.File
import java.io.IOException
import java.io.InputStream

/**
 * The files of one bundle, wherever they lie: a folder here, an app's assets elsewhere.
 *
 * Names are relative to the bundle and use `/`: `golden/inputs.f32`. [Bundle] passes none that
 * leads out of it.
 */
interface BundleFiles {
    /** What a message calls this place. */
    val place: String

    /** Whether there is a file of this name. */
    fun exists(name: String): Boolean

    /** The file from its start; the caller closes it. Throws [IOException]. */
    fun open(name: String): InputStream
}

/** The bundle that lies in [folder]. */
class FolderFiles(private val folder: File) : BundleFiles {
    override val place: String get() = folder.path

    override fun exists(name: String): Boolean = File(folder, name).isFile

    @Throws(IOException::class)
    override fun open(name: String): InputStream = File(folder, name).inputStream()
}
