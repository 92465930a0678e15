package action.mobile.recognizer

import java.nio.FloatBuffer

/**
 * Camera pictures to the tensor that the program takes, as `core.data.transforms` makes it of the same
 * pictures in RGB: the short side resized with a filter, the centre cropped, normalised. Pixels are at
 * most 1 of 255 apart from those.
 *
 * Weights and buffers are made once for each size of picture; after that nothing is allocated. Rows
 * are turned into RGB and summed up into rows of the result as they come, so that every source pixel
 * is touched once; turning and mirroring cost nothing, they only change where results are put. Not
 * safe for several threads.
 */
class Preprocessor(private val input: InputSpec) {
    private val size = input.size
    private val values = FloatArray(input.tensor.size)
    private val normalised = Array(3) { normalisation(it) } // by colour and byte
    private val strides = stridesOf(input.tensor) // floats from one batch, colour, row, column to the next
    private var resizer: Resizer? = null

    /**
     * Makes the program's input of the part of [frame] that its crop holds.
     *
     * [rotation] is how far the picture has to be turned clockwise to stand upright: 0, 90, 180 or
     * 270 degrees (of a camera: its sensor's orientation less the display's rotation). [mirrored]
     * tells that the source delivers mirrored pictures, seen upright; they are mirrored back, so that
     * left stays left. Camera2 mirrors its previews, never the buffers of an ImageReader.
     *
     * [target] gets the floats in the manifest's memory order. Throws [IllegalArgumentException] for
     * another rotation or a target of another size.
     */
    fun process(frame: YuvFrame, rotation: Int, mirrored: Boolean, target: FloatBuffer) {
        require(target.capacity() == values.size) {
            "a buffer of ${target.capacity()} floats: the program takes ${values.size}"
        }
        require(rotation in TURNS) { "a rotation of $rotation degrees: give 0, 90, 180 or 270" }
        val fitting = resizer?.takeIf { it.fits(frame.crop) }
            ?: Resizer(frame.crop.width, frame.crop.height, size).also { resizer = it }
        place(fitting.resize(frame, downFirst = rotation % 180 != 0), rotation, mirrored)
        target.position(0)
        target.put(values)
        target.position(0)
    }

    /** Turns, mirrors and normalises [pixels], (3, size, size) as they lie in the source. */
    private fun place(pixels: IntArray, rotation: Int, mirrored: Boolean) {
        val begin = upright(0, 0, rotation, mirrored)
        val down = upright(1, 0, rotation, mirrored) - begin
        val across = upright(0, 1, rotation, mirrored) - begin
        var from = 0
        for (colour in 0 until 3) {
            val table = normalised[colour]
            for (row in 0 until size) {
                var at = begin + row * down + colour * strides[1]
                for (column in 0 until size) {
                    values[at] = table[pixels[from++]]
                    at += across
                }
            }
        }
    }

    /** Where red of the source's pixel (row, column) goes. */
    private fun upright(row: Int, column: Int, rotation: Int, mirrored: Boolean): Int {
        val last = size - 1
        val to = when (rotation) {
            0 -> row
            90 -> column
            180 -> last - row
            else -> last - column
        }
        val across = when (rotation) {
            0 -> column
            90 -> last - row
            180 -> last - column
            else -> row
        }
        return to * strides[2] + (if (mirrored) last - across else across) * strides[3]
    }

    private fun normalisation(colour: Int): FloatArray {
        // In floats and in the order that the exporter's pre-processing has.
        val scale = (1 / (255 * input.std[colour])).toFloat()
        val shift = (input.mean[colour] / input.std[colour]).toFloat()
        return FloatArray(256) { it * scale - shift }
    }

    private companion object {
        val TURNS = intArrayOf(0, 90, 180, 270)
    }
}

/** Floats from one index to the next, for each axis of the tensor's shape. */
private fun stridesOf(tensor: TensorSpec): IntArray {
    val strides = IntArray(tensor.shape.size)
    var step = 1
    for (axis in tensor.dimOrder.reversed()) {
        strides[axis] = step
        step *= tensor.shape[axis]
    }
    return strides
}
