package action.mobile.app

import action.mobile.recognizer.Manifest
import action.mobile.recognizer.Program
import action.mobile.recognizer.ProgramException
import java.io.File
import java.nio.FloatBuffer
import java.util.IdentityHashMap
import org.pytorch.executorch.EValue
import org.pytorch.executorch.ExecuTorchRuntime
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/**
 * A manifest's program in ExecuTorch: the only class that knows the runtime, and the only one that
 * can run nowhere but on a device.
 *
 * The runtime makes new objects for the outputs of each call; their memory is the program's own and
 * holds until the next call, so that it is copied once, into the session's buffers. What goes in is
 * wrapped once: a session passes the same few arrays for ever.
 */
class ExecuTorchProgram private constructor(private val manifest: Manifest, private val module: Module) : Program {
    override val name: String get() = manifest.target

    private val calls = IdentityHashMap<Array<FloatBuffer>, Array<EValue>>()

    override fun run(inputs: Array<FloatBuffer>, outputs: Array<FloatBuffer>) {
        val results = guarded("the program fails", BACKEND_HINT) {
            module.forward(*calls.getOrPut(inputs) { wrap(inputs) })
        }
        if (results.size != outputs.size) {
            throw ProgramException(
                "the program gives ${results.size} outputs, its manifest names ${outputs.size}: $EXPORT_HINT",
            )
        }
        for (i in outputs.indices) guarded("output ${manifest.outputs[i].name} cannot be read", EXPORT_HINT) {
            copy(results[i].toTensor(), outputs[i], manifest.outputs[i].name)
        }
    }

    override fun close() = module.close()

    /**
     * Declares each buffer with the manifest's shape. The runtime's tensors have no order of axes: a
     * program takes the memory in the order that it was exported with, which is the manifest's.
     */
    private fun wrap(inputs: Array<FloatBuffer>) = Array(inputs.size) { i ->
        val spec = if (i == 0) manifest.input.tensor else manifest.state[i - 1].input
        EValue.from(Tensor.fromBlob(inputs[i], LongArray(spec.shape.size) { spec.shape[it].toLong() }))
    }

    private fun copy(from: Tensor, to: FloatBuffer, name: String) {
        if (from.numel() != to.capacity().toLong()) {
            throw ProgramException(
                "output $name has ${from.numel()} values, its manifest names ${to.capacity()}: $EXPORT_HINT",
            )
        }
        to.rewind()
        from.copyDataInto(to)
        to.rewind()
    }

    companion object {
        private const val METHOD = "forward"
        private const val EXPORT_HINT = "export the bundle again, with the runtime's version"
        private const val BACKEND_HINT = "choose another backend"

        /** Loads [artifact], delegate and all; throws [ProgramException]. */
        fun open(artifact: File, manifest: Manifest, threads: Int?): ExecuTorchProgram =
            guarded("${artifact.name} cannot be loaded", EXPORT_HINT) {
                // Mapped: the delegate packs its own copy of the weights, a second one would be waste.
                val module = Module.load(artifact.path, Module.LOAD_MODE_MMAP, threads ?: 0)
                try {
                    requireBackends(module.getMethodMetadata(METHOD).backends)
                    module.loadMethod(METHOD)
                    ExecuTorchProgram(manifest, module)
                } catch (e: Exception) {
                    module.close()
                    throw e
                }
            }

        private fun requireBackends(used: Array<String>) {
            val missing = used.toSet() - ExecuTorchRuntime.getRegisteredBackends().toSet()
            if (missing.isNotEmpty()) {
                throw ProgramException(
                    "this build of the app has no ${missing.joinToString()}: README.md says how to add Vulkan",
                )
            }
        }

        /** What the runtime throws, as one line; a library that is missing or broken too. */
        private inline fun <T> guarded(what: String, hint: String, task: () -> T): T = try {
            task()
        } catch (e: RuntimeException) {
            throw ProgramException("$what: ${firstLine(e)}; $hint", e)
        } catch (e: LinkageError) {
            throw ProgramException("$what: ${firstLine(e)}; this device's processor may not be supported", e)
        }

        private fun firstLine(e: Throwable) =
            e.message?.lineSequence()?.first()?.ifBlank { null } ?: e.javaClass.simpleName
    }
}
