package action.mobile.recognizer

import java.io.File
import java.util.zip.GZIPInputStream

/** The repository's root, of which vectors and schemas are read. */
val repository: File = File(System.getProperty("repository") ?: "../..").canonicalFile

/** A file of the tests' resources. */
fun resource(name: String): ByteArray {
    val stream = checkNotNull(Thread.currentThread().contextClassLoader.getResourceAsStream(name)) { "$name is missing" }
    return stream.use { if (name.endsWith(".gz")) GZIPInputStream(it).readBytes() else it.readBytes() }
}

/** JSON of the repository or of a resource, as maps and lists. */
@Suppress("UNCHECKED_CAST")
fun jsonObject(text: String): Map<String, Any?> = Json.parse(text) as Map<String, Any?>

@Suppress("UNCHECKED_CAST")
fun Map<String, Any?>.objects(name: String): List<Map<String, Any?>> = getValue(name) as List<Map<String, Any?>>

@Suppress("UNCHECKED_CAST")
fun Map<String, Any?>.child(name: String): Map<String, Any?> = getValue(name) as Map<String, Any?>

@Suppress("UNCHECKED_CAST")
fun Map<String, Any?>.numbers(name: String): List<Double> = getValue(name) as List<Double>

fun Map<String, Any?>.int(name: String): Int = (getValue(name) as Double).toInt()

/** Bytes that this thread has allocated so far. */
fun allocatedBytes(): Long {
    val bean = java.lang.management.ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean
    return bean.getThreadAllocatedBytes(Thread.currentThread().id)
}
