package action.mobile.app.bundles

import action.mobile.recognizer.BundleFiles
import java.io.IOException
import java.io.InputStream

/** The files that are packed into the app. */
interface AssetTree {
    /** Names of the files and folders in [folder]; empty when there is no such folder. */
    fun list(folder: String): List<String>

    /** Throws [IOException] when there is no such file. */
    fun open(path: String): InputStream
}

/** The bundle in [folder] of the app's own files. */
class AssetFiles(private val assets: AssetTree, private val folder: String) : BundleFiles {
    override val place: String get() = "assets/$folder"

    override fun exists(name: String): Boolean {
        val path = "$folder/$name"
        return path.substringAfterLast('/') in assets.list(path.substringBeforeLast('/'))
    }

    @Throws(IOException::class)
    override fun open(name: String): InputStream = assets.open("$folder/$name")
}
