package action.mobile.recognizer

import java.nio.FloatBuffer

/**
 * A loaded model: the seam to the runtime, which exists on a device alone.
 *
 * Buffers are direct, in the machine's byte order, start at 0 and end at their capacity. They come in
 * the manifest's order: the frame, then the states; the logits, then the next states. A
 * [StreamSession] passes the same few buffers for its whole life, so a program may keep what it made
 * of each. It leaves their positions alone or at 0.
 */
interface Program : AutoCloseable {
    /** What executes, as a report says it: xnnpack, vulkan. */
    val name: String

    /**
     * One call: reads every one of [inputs], fills every one of [outputs].
     *
     * Throws [ProgramException] when it fails.
     */
    fun run(inputs: Array<FloatBuffer>, outputs: Array<FloatBuffer>)

    override fun close()
}
