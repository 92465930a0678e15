package action.mobile.app

import action.mobile.app.bundles.AssetTree
import action.mobile.app.bundles.Notebook
import action.mobile.app.bundles.Programs
import action.mobile.app.camera.CameraFrame
import action.mobile.app.camera.CameraPlan
import action.mobile.app.camera.CameraPort
import action.mobile.app.camera.PictureSize
import action.mobile.recognizer.Battery
import action.mobile.recognizer.DeviceFacts
import action.mobile.recognizer.Manifest
import action.mobile.recognizer.Plane
import action.mobile.recognizer.Probe
import action.mobile.recognizer.Program
import action.mobile.recognizer.ProgramException
import action.mobile.recognizer.Thermal
import action.mobile.recognizer.YuvFrame
import java.io.ByteArrayInputStream
import java.io.File
import java.io.FileNotFoundException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.FloatBuffer
import java.util.ArrayDeque
import java.util.concurrent.Executor

/** Holds tasks until a test runs them. */
class Queue : Executor {
    private val tasks = ArrayDeque<Runnable>()

    /** Called once, before the next task comes: what another thread does in this moment. */
    var meanwhile: (() -> Unit)? = null

    override fun execute(task: Runnable) {
        meanwhile?.also { meanwhile = null }?.invoke()
        tasks.addLast(task)
    }

    fun runAll() {
        while (tasks.isNotEmpty()) tasks.removeFirst().run()
    }
}

/** Answers the same [logits] whatever goes in, and every state with zeros. */
class FakeProgram(override val name: String, var logits: FloatArray) : Program {
    var failure: String? = null
    var closed = 0

    override fun run(inputs: Array<FloatBuffer>, outputs: Array<FloatBuffer>) {
        check(closed == 0) { "a closed program is run" }
        failure?.let { throw ProgramException(it) }
        for (i in logits.indices) outputs[0].put(i, logits[i])
    }

    override fun close() {
        closed++
    }
}

/** Opens [FakeProgram]s that answer what [TinyBundle]'s golden clip says, unless told otherwise. */
class FakePrograms : Programs {
    val opened = mutableListOf<FakeProgram>()
    val wrong = mutableSetOf<String>() // targets whose programs compute nonsense
    val broken = mutableMapOf<String, String>() // targets that cannot be loaded, and why
    var most = Int.MAX_VALUE // programs that the device has memory for

    override fun open(artifact: File, manifest: Manifest, threads: Int?): Program {
        check(artifact.isFile) { "the runtime opens files" }
        check(opened.all { it.closed == 1 }) { "the runtime bears one program at a time" }
        broken[manifest.target]?.let { throw ProgramException(it) }
        if (opened.size == most) throw ProgramException("out of memory")
        val logits = if (manifest.target in wrong) floatArrayOf(9f, 9f, 9f) else TinyBundle.GOLDEN
        return FakeProgram(manifest.target, logits.copyOf()).also { opened += it }
    }
}

class FakeNotes : Notebook {
    val values = mutableMapOf<String, String>()

    override fun get(key: String) = values[key]

    override fun put(key: String, value: String) {
        values[key] = value
    }
}

/** Assets by path. */
class FakeAssets(private val files: Map<String, ByteArray>) : AssetTree {
    override fun list(folder: String) =
        files.keys.filter { it.startsWith("$folder/") }.map { it.removePrefix("$folder/").substringBefore('/') }.distinct()

    override fun open(path: String): InputStream =
        ByteArrayInputStream(files[path] ?: throw FileNotFoundException(path))
}

class FakeCamera : CameraPort {
    var plan: CameraPlan? = CameraPlan("1", true, 270, PictureSize(32, 24), PictureSize(640, 480))
    val calls = mutableListOf<String>()

    override fun find(modelSize: Int): CameraPlan? = plan

    /** How often it was opened, which is the number of the latest opening. */
    val opening get() = calls.count { it == "open" }

    override fun open(plan: CameraPlan, opening: Int) {
        calls += "open"
        check(opening == this.opening) { "openings are counted" }
    }

    override fun close(closed: () -> Unit) {
        calls += "close"
        closed()
    }
}

object FakeProbe : Probe {
    override fun residentBytes() = 1000L

    override fun peakBytes() = 2000L

    override fun thermal() = Thermal("light")

    override fun powerMode() = "normal"

    override fun battery() = Battery(0.5, false)

    val device = DeviceFacts("Google Pixel 8", "Tensor G3", 8, 8_000_000_000, "Android", "16", "google/shiba")
}

/** A grey picture; [released] counts how often it was given back. */
class FakeFrame(nanos: Long, rotation: Int = 90) {
    var released = 0
    val frame = CameraFrame(nanos, picture(), rotation) { released++ }

    private fun picture(): YuvFrame {
        val chroma = Plane(ByteBuffer.allocateDirect(16 * 12), 16, 1)
        return YuvFrame(32, 24, Plane(ByteBuffer.allocateDirect(32 * 24), 32, 1), chroma, chroma)
    }
}
