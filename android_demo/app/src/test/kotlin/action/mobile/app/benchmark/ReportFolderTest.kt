package action.mobile.app.benchmark

import java.io.File
import java.nio.file.Files
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class ReportFolderTest {
    @TempDir
    lateinit var root: File

    private val folder get() = File(root, "reports")
    private val reports get() = ReportFolder(folder)

    @Test
    fun `a report is named by bundle and time and appears whole`() {
        val file = reports.write("{}", "mobilenet_v2-action", 0)
        assertEquals("mobilenet_v2-action-19700101-000000.json", file.name)
        assertEquals("{}", file.readText())
        assertEquals(listOf(file.name), folder.list()!!.toList())
        assertEquals(file, reports.find(file.name))
    }

    @Test
    fun `a name that leads elsewhere finds nothing`() {
        File(root, "secret.json").writeText("secret")
        val report = reports.write("{}", "../../odd name", 0).name
        assertEquals("_.._odd_name-19700101-000000.json", report)
        assertNotNull(reports.find(report))
        File(folder, "notes.txt").writeText("")
        File(folder, "folder.json").mkdir()
        Files.createSymbolicLink(File(folder, "link.json").toPath(), File(root, "secret.json").toPath())
        val names = listOf(
            "../secret.json", "..", ".", "", "/etc/passwd", "reports/../../secret.json", "notes.txt", "folder.json",
            "link.json", "missing.json", "..%2fsecret.json", "a\u0000.json", "x/../$report",
        )
        for (name in names) assertNull(reports.find(name), name)
    }
}
