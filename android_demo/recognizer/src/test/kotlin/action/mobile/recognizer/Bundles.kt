package action.mobile.recognizer

import java.io.File
import java.io.FileNotFoundException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.security.MessageDigest

const val SIDE = 8 // pixels of the small bundle's input
const val GOLDEN_FRAMES = 3
val LABELS = listOf("No gesture", "Left", "Right")

/** A bundle in memory; [files] can be damaged at will. */
class MemoryFiles(val files: MutableMap<String, ByteArray>) : BundleFiles {
    override val place = "memory"

    override fun exists(name: String) = name in files

    override fun open(name: String): InputStream = (files[name] ?: throw FileNotFoundException(name)).inputStream()
}

/**
 * A program of arithmetic: state a counts frames, state b keeps the mean of the last one; logits tell
 * both. It fails when an output lies where an input does.
 */
open class CountingProgram(override val name: String = "fake") : Program {
    var calls = 0
    var closed = false
    val counts = ArrayList<Float>() // that came in

    override fun run(inputs: Array<FloatBuffer>, outputs: Array<FloatBuffer>) {
        val (frame, count, kept) = inputs
        for (input in inputs) for (output in outputs) check(input !== output) { "an output lies where an input does" }
        var mean = 0f
        for (i in 0 until frame.capacity()) mean += frame.get(i)
        mean /= frame.capacity()
        val (logits, keptOut, countOut) = outputs // in another order than they went in
        countOut.put(0, count.get(0) + 1)
        for (i in 0 until kept.capacity()) keptOut.put(i, mean)
        logits.put(0, mean)
        logits.put(1, 4 * mean - kept.get(0))
        logits.put(2, minOf(count.get(0), 10f) / 100)
        calls++
        remember(count.get(0))
    }

    open fun remember(count: Float) {
        counts.add(count)
    }

    override fun close() {
        closed = true
    }
}

/** A small bundle for [CountingProgram] with a golden clip that it answers rightly. */
fun smallBundle(change: (MutableMap<String, Any?>) -> Unit = {}): MemoryFiles {
    val artifact = "a program".toByteArray()
    val pixels = ByteArray(GOLDEN_FRAMES * 3 * SIDE * SIDE) { (it * 37 % 251).toByte() }
    val inputs = ByteBuffer.allocate(4 * pixels.size).order(ByteOrder.LITTLE_ENDIAN)
    val logits = ByteBuffer.allocate(4 * GOLDEN_FRAMES * LABELS.size).order(ByteOrder.LITTLE_ENDIAN)
    var last = 0f
    for (t in 0 until GOLDEN_FRAMES) {
        var mean = 0f
        // As the golden clip lies in memory: pixels of three colours.
        for (i in 0 until SIDE * SIDE) {
            for (c in 0 until 3) {
                val value = (pixels[(t * 3 + c) * SIDE * SIDE + i].toInt() and 0xff) / 127.5f - 1
                inputs.putFloat(value)
                mean += value
            }
        }
        mean /= 3 * SIDE * SIDE
        for (value in listOf(mean, 4 * mean - last, t / 100f)) logits.putFloat(value)
        last = mean
    }
    val manifest = smallManifest(artifact, inputs.array(), pixels, logits.array())
    change(manifest)
    return MemoryFiles(
        mutableMapOf(
            "manifest.json" to Json.write(manifest).toByteArray(),
            "model.pte" to artifact,
            "golden/inputs.f32" to inputs.array(),
            "golden/pixels.u8" to pixels,
            "golden/logits.f32" to logits.array(),
        ),
    )
}

private fun smallManifest(
    artifact: ByteArray,
    inputs: ByteArray,
    pixels: ByteArray,
    logits: ByteArray,
): MutableMap<String, Any?> {
    val manifest = jsonObject(String(resource("manifest.json"))).toMutableMap()
    fun tensor(shape: List<Int>) = mapOf("shape" to shape, "dim_order" to shape.indices.toList(), "dtype" to "float32")
    val a = tensor(listOf(1, 1))
    val b = tensor(listOf(1, 2, 2))
    val golden = manifest.child("golden").toMutableMap()
    val files = golden.child("files")
    fun file(part: String, bytes: ByteArray, shape: List<Int>) = files.child(part) + mapOf(
        "shape" to shape, "bytes_a_frame" to bytes.size / GOLDEN_FRAMES, "sha256" to sha256(bytes),
    )
    golden["frames"] = GOLDEN_FRAMES
    golden["tolerance"] = 0.05
    golden["files"] = mapOf(
        "inputs" to file("inputs", inputs, listOf(GOLDEN_FRAMES, SIDE, SIDE, 3)),
        "pixels" to file("pixels", pixels, listOf(GOLDEN_FRAMES, 3, SIDE, SIDE)),
        "logits" to file("logits", logits, listOf(GOLDEN_FRAMES, LABELS.size)),
    )
    manifest["labels"] = LABELS
    manifest["artifact"] = mapOf("file" to "model.pte", "bytes" to artifact.size, "sha256" to sha256(artifact))
    manifest["input"] = manifest.child("input") + mapOf(
        "shape" to listOf(1, 3, SIDE, SIDE),
        "resize" to mapOf("short_side" to SIDE, "crop" to "centre", "size" to SIDE),
    )
    manifest["outputs"] = listOf(
        tensor(listOf(1, LABELS.size)) + ("name" to "logits"), b + ("name" to "b_out"), a + ("name" to "a_out"),
    )
    manifest["state"] = listOf(
        a + mapOf("input" to "a_in", "output" to "a_out"), b + mapOf("input" to "b_in", "output" to "b_out"),
    )
    manifest["decision"] = manifest.child("decision") + mapOf(
        "none_labels" to listOf("No gesture"), "window" to 2, "threshold" to 0.5, "agree" to 2, "release" to 2,
    )
    manifest["golden"] = golden
    return manifest
}

fun sha256(bytes: ByteArray): String =
    MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }

/** The small bundle in [folder], as files. */
fun MemoryFiles.writeTo(folder: File): FolderFiles {
    for ((name, bytes) in files) File(folder, name).apply { parentFile.mkdirs() }.writeBytes(bytes)
    return FolderFiles(folder)
}

/** A grey picture for the small bundle. */
fun grey(luma: Int): YuvFrame {
    val bytes = ByteArray(i420Size(2 * SIDE, SIDE)) { (if (it < 2 * SIDE * SIDE) luma else 128).toByte() }
    return yuvFrame(bytes, 0, 2 * SIDE, SIDE, Layout.NV21)
}
