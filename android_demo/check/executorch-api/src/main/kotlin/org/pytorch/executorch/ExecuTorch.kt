// The part of ExecuTorch's Android API that the app calls, for compiling it where the AAR cannot be
// had. Nothing here runs or is packaged: `mvn -Pexecutorch-aar` puts the AAR's own classes in its
// place, and Gradle never sees it.
@file:Suppress("UNUSED_PARAMETER")

package org.pytorch.executorch

import java.io.Closeable
import java.nio.FloatBuffer

open class Module private constructor() : Closeable {
    open fun forward(vararg inputs: EValue): Array<EValue> = absent()

    open fun loadMethod(methodName: String): Unit = absent()

    open fun getMethodMetadata(name: String): MethodMetadata = absent()

    override fun close(): Unit = absent()

    companion object {
        const val LOAD_MODE_MMAP = 1

        @JvmStatic
        fun load(modelPath: String?, loadMode: Int, numThreads: Int): Module = absent()
    }
}

class MethodMetadata internal constructor(val name: String, val backends: Array<String>)

class EValue private constructor() {
    fun toTensor(): Tensor = absent()

    companion object {
        @JvmStatic
        fun from(tensor: Tensor): EValue = absent()
    }
}

abstract class Tensor internal constructor() {
    fun numel(): Long = absent()

    open fun copyDataInto(dst: FloatBuffer): Unit = absent()

    companion object {
        @JvmStatic
        fun fromBlob(data: FloatBuffer, shape: LongArray): Tensor = absent()
    }
}

class ExecuTorchRuntime private constructor() {
    companion object {
        @JvmStatic
        fun getRegisteredBackends(): Array<String> = absent()
    }
}

private fun absent(): Nothing = throw UnsupportedOperationException("ExecuTorch runs on a device alone")
