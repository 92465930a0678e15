package action.mobile.app.benchmark

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.content.Intent
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException

/**
 * Reports as attachments: that of a long run has some hundred kilobytes, which is near what the text of
 * an intent can carry, and other apps cannot read the folder. Reads alone, only what [ReportFolder.find] gives, and only for
 * apps that a person shared a report with.
 */
class ReportProvider : ContentProvider() {
    override fun onCreate() = true

    override fun getType(uri: Uri) = TYPE

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (mode != "r") throw FileNotFoundException("reports can only be read")
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    /** Name and size, which mail programs ask for. */
    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        selectionArgs: Array<String>?,
        sortOrder: String?,
    ): Cursor {
        val file = file(uri)
        val known = mapOf(OpenableColumns.DISPLAY_NAME to file.name, OpenableColumns.SIZE to file.length())
        val columns = (projection ?: known.keys.toTypedArray()).filter { it in known }.toTypedArray()
        return MatrixCursor(columns, 1).apply { addRow(columns.map { known[it] }) }
    }

    private fun file(uri: Uri): File {
        val name = uri.pathSegments.singleOrNull() ?: throw FileNotFoundException("$uri names no report")
        return ReportFolder(reportsIn(checkNotNull(context))).find(name)
            ?: throw FileNotFoundException("there is no report $name")
    }

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun update(uri: Uri, values: ContentValues?, selection: String?, selectionArgs: Array<String>?) = 0

    override fun delete(uri: Uri, selection: String?, selectionArgs: Array<String>?) = 0

    companion object {
        private const val AUTHORITY = "action.mobile.app.reports"
        private const val TYPE = "application/json"

        /** Where reports lie; inside of the app when the shared storage is not there. */
        fun reportsIn(context: Context): File =
            context.getExternalFilesDir("reports") ?: File(context.filesDir, "reports")

        /** The intent that hands [file] of the reports folder to another app. */
        fun share(file: String): Intent {
            val uri = Uri.Builder().scheme("content").authority(AUTHORITY).appendPath(file).build()
            return Intent(Intent.ACTION_SEND)
                .setType(TYPE)
                .putExtra(Intent.EXTRA_STREAM, uri)
                .putExtra(Intent.EXTRA_SUBJECT, file)
                .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        }
    }
}
