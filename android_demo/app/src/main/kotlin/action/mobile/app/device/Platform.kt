package action.mobile.app.device

import action.mobile.app.bundles.AssetTree
import action.mobile.app.bundles.Notebook
import android.content.SharedPreferences
import android.content.res.AssetManager
import java.io.InputStream

/** What is packed into the app. */
class AppAssets(private val assets: AssetManager) : AssetTree {
    override fun list(folder: String): List<String> = assets.list(folder).orEmpty().toList()

    override fun open(path: String): InputStream = assets.open(path)
}

/** Notes in the app's preferences. */
class Preferences(private val preferences: SharedPreferences) : Notebook {
    override fun get(key: String): String? = preferences.getString(key, null)

    // Committed, not applied: the process may be gone the moment after.
    override fun put(key: String, value: String) {
        preferences.edit().putString(key, value).commit()
    }
}
