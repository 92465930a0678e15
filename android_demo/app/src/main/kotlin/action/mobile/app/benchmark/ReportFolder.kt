package action.mobile.app.benchmark

import java.io.File
import java.io.IOException
import java.nio.file.Files
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter

/** Where reports lie, each a JSON file that appears whole. */
class ReportFolder(private val folder: File) {
    /** Writes [json] about [bundle], measured from [createdMillis] on. Throws [IOException]. */
    fun write(json: String, bundle: String, createdMillis: Long): File {
        Files.createDirectories(folder.toPath())
        val report = File(folder, "${bundle.replace(UNSAFE, "_").trimStart('.')}-${stamp(createdMillis)}$SUFFIX")
        val part = File(folder, ".${report.name}.part") // hidden: who pulls the folder passes it over
        part.writeText(json)
        Files.move(part.toPath(), report.toPath(), ATOMIC_MOVE)
        return report
    }

    /** The report called [name]; null for any other file, inside of the folder or out of it. */
    fun find(name: String): File? {
        if (!NAME.matches(name)) return null
        val file = File(folder, name)
        // A link could still lead elsewhere.
        return file.takeIf { it.isFile && it.canonicalFile.parentFile == folder.canonicalFile }
    }

    companion object {
        private const val SUFFIX = ".json"
        private val UNSAFE = Regex("[^A-Za-z0-9._-]")
        private val NAME = Regex("[A-Za-z0-9_-][A-Za-z0-9._-]*\\.json")
        private val STAMP = DateTimeFormatter.ofPattern("yyyyMMdd-HHmmss")

        /** A time in UTC, as it tells one report of a device from another. */
        fun stamp(millis: Long): String = STAMP.format(Instant.ofEpochMilli(millis).atOffset(ZoneOffset.UTC))
    }
}
