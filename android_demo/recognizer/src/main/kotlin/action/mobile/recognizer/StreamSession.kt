package action.mobile.recognizer

import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

/**
 * A stream through [program]: the frame in, the logits out, the state kept between them.
 *
 * Two sets of state buffers take turns, so that an output never overwrites an input of the same call.
 * Nothing is allocated after the constructor. Not safe for several threads.
 */
class StreamSession(private val manifest: Manifest, private val program: Program) {
    /** Where the next frame goes: floats in the memory order of the manifest's input. */
    val frame: FloatBuffer = directFloats(manifest.input.tensor.size)

    private val logitsBuffer = directFloats(manifest.labels.size)
    private val logits = FloatArray(manifest.labels.size)
    private val states = Array(2) { zeros() }
    private val inputs = Array(2) { arrayOf(frame, *states[it]) }
    private val outputs = Array(2) { outputsInto(states[1 - it]) }
    private var turn = 0 // which set goes in

    /** Back to before the first frame: every state is zeros. */
    fun reset() {
        for (state in states[turn]) for (i in 0 until state.capacity()) state.put(i, 0f)
    }

    /**
     * One call on what [frame] holds. The logits in the order of the labels; the same array every
     * time, filled anew by the next call.
     *
     * Throws [ProgramException] when the program fails or gives logits that are not finite. The state
     * is then that of before the call.
     */
    fun step(): FloatArray {
        program.run(inputs[turn], outputs[turn])
        for (i in logits.indices) logits[i] = logitsBuffer.get(i)
        for (value in logits) if (!isFinite(value)) throw notFinite()
        turn = 1 - turn
        return logits
    }

    private fun isFinite(value: Float) = value - value == 0f

    private fun notFinite() = ProgramException(
        "${program.name} gives logits that are not finite: choose another backend or export the bundle again",
    )

    private fun zeros(): Array<FloatBuffer> =
        Array(manifest.state.size) { directFloats(manifest.state[it].input.size) }

    /** The program's outputs in its own order, each where [next] keeps it. */
    private fun outputsInto(next: Array<FloatBuffer>): Array<FloatBuffer> {
        val places = manifest.state.withIndex().associate { (i, state) -> state.output to next[i] }
        return Array(manifest.outputs.size) { i ->
            if (i == 0) logitsBuffer else places.getValue(manifest.outputs[i].name)
        }
    }
}

private const val SPARE_BYTES = 16 // that XNNPACK may read, not use, behind a tensor (XNN_EXTRA_BYTES)

/** A direct buffer of [size] zeros in the machine's byte order, where a program may read it in place. */
fun directFloats(size: Int): FloatBuffer {
    val bytes = ByteBuffer.allocateDirect(size * Float.SIZE_BYTES + SPARE_BYTES)
    limit(bytes, size * Float.SIZE_BYTES)
    return bytes.order(ByteOrder.nativeOrder()).asFloatBuffer()
}

/** [Buffer]'s own method: older Androids have none of that name in its subclasses. */
private fun limit(buffer: Buffer, bytes: Int) {
    buffer.limit(bytes)
}
