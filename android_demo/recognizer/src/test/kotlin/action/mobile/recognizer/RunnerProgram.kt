package action.mobile.recognizer

import java.io.DataInputStream
import java.io.EOFException
import java.io.File
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

/** The exporter's native runner in a process of its own: calls and answers over its standard streams. */
class RunnerProgram(command: List<String>, artifact: File) : Program {
    override val name = "xnnpack"

    private val process = ProcessBuilder(command + listOf(artifact.path, "serve", "--threads", "1"))
        .redirectError(ProcessBuilder.Redirect.DISCARD).start()
    private val answers = DataInputStream(process.inputStream.buffered(1 shl 16))

    override fun run(inputs: Array<FloatBuffer>, outputs: Array<FloatBuffer>) {
        try {
            for (input in inputs) process.outputStream.write(bytesOf(input))
            process.outputStream.flush()
            for (output in outputs) {
                val bytes = ByteArray(output.capacity() * Float.SIZE_BYTES)
                answers.readFully(bytes)
                val values = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
                for (i in 0 until output.capacity()) output.put(i, values.get(i))
            }
        } catch (error: EOFException) {
            throw ProgramException("the native runner ended with status ${process.waitFor()}", error)
        } catch (error: IOException) {
            throw ProgramException("the native runner cannot be reached (${error.message})", error)
        }
    }

    private fun bytesOf(input: FloatBuffer): ByteArray {
        val bytes = ByteBuffer.allocate(input.capacity() * Float.SIZE_BYTES).order(ByteOrder.LITTLE_ENDIAN)
        for (i in 0 until input.capacity()) bytes.putFloat(input.get(i))
        return bytes.array()
    }

    override fun close() {
        process.outputStream.close()
        process.waitFor()
    }
}
