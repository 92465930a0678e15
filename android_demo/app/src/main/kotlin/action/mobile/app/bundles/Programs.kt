package action.mobile.app.bundles

import action.mobile.recognizer.Manifest
import action.mobile.recognizer.Program
import action.mobile.recognizer.ProgramException
import java.io.File

/** Opens programs; the runtime behind it exists on a device alone. */
fun interface Programs {
    /**
     * Loads the [artifact] of [manifest] on [threads] threads; null leaves that to the backend.
     *
     * Throws [ProgramException].
     */
    fun open(artifact: File, manifest: Manifest, threads: Int?): Program
}

/**
 * [Programs] that keep how long the first load of each artifact in this process took: a report asks
 * for that one, and the self-check or the camera may have needed the program before.
 */
class TimedPrograms(private val programs: Programs, private val clock: () -> Long = System::nanoTime) : Programs {
    private val firstLoads = mutableMapOf<String, Double>() // milliseconds by hash

    override fun open(artifact: File, manifest: Manifest, threads: Int?): Program {
        val began = clock()
        val program = programs.open(artifact, manifest, threads)
        firstLoads.putIfAbsent(manifest.artifact.sha256, (clock() - began) / NANOS_A_MILLISECOND)
        return program
    }

    /** Milliseconds; null when this process has not loaded the artifact yet. */
    fun firstLoadMs(manifest: Manifest): Double? = firstLoads[manifest.artifact.sha256]

    private companion object {
        const val NANOS_A_MILLISECOND = 1e6
    }
}
