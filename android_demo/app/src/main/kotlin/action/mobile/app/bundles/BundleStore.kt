package action.mobile.app.bundles

import action.mobile.recognizer.Bundle
import action.mobile.recognizer.BundleException
import action.mobile.recognizer.BundleFiles
import action.mobile.recognizer.FolderFiles
import action.mobile.recognizer.Manifest
import java.io.File

/** A folder that claims to be a bundle: [manifest], or the [problem] with it in one line. */
class FoundBundle(val name: String, val files: BundleFiles, val manifest: Manifest?, val problem: String?)

/**
 * Where bundles come from: the app's assets, and the folder that `adb push` reaches. Of two that
 * have the same folder name the pushed one wins, so that a model is tried without a new build.
 */
class BundleStore(private val assets: AssetTree, private val pushed: File?) {
    /** What a message tells a person who has no bundle. */
    val wayOut: String =
        "run python -m mobile_export --target xnnpack --into android_demo and install the app again" +
            (pushed?.let { ", or adb push a bundle into $it" } ?: "")

    /** Every bundle by name, damaged ones among them. Reads manifests alone. */
    fun list(): List<FoundBundle> {
        val found = sortedMapOf<String, BundleFiles>()
        for (name in assets.list(ASSETS)) found[name] = AssetFiles(assets, "$ASSETS/$name")
        // Hidden folders are exports under way, and other files are none of ours.
        val folders = pushed?.listFiles { file -> file.isDirectory && !file.isHidden } ?: emptyArray()
        for (folder in folders) found[folder.name] = FolderFiles(folder)
        return found.map { (name, files) -> read(name, files) }
    }

    private fun read(name: String, files: BundleFiles): FoundBundle = try {
        if (!files.exists(Bundle.MANIFEST)) {
            throw BundleException("${files.place} has no ${Bundle.MANIFEST}: copy the whole bundle, or delete it")
        }
        FoundBundle(name, files, Manifest.parse(Bundle.manifestText(files)), null)
    } catch (e: BundleException) {
        FoundBundle(name, files, null, "$name: ${e.message}")
    }

    private companion object {
        const val ASSETS = "bundles"
    }
}
