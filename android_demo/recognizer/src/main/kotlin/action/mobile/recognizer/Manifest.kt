package action.mobile.recognizer

/**
 * What a bundle's `manifest.json` says, as far as a device needs it; `docs/bundle.md` has the words.
 *
 * [parse] gives only manifests that can be followed: stream form, 32-bit floats, every size positive,
 * every axis ordered, every state going in and coming out.
 */
data class Manifest(
    val name: String,
    val target: String, // xnnpack or vulkan
    val form: String, // stream
    val precision: String, // int8, fp16 or fp32
    val backbone: String,
    val temporal: String,
    val labels: List<String>, // of each logit, in order
    val artifact: FileEntry,
    val checkpointSha256: String,
    val input: InputSpec,
    val outputs: List<TensorSpec>, // in the program's order; the logits come first
    val state: List<StateSpec>, // in the order of the inputs after the frame
    val delegateCalls: Int?,
    val operatorsOutside: Int?, // that the delegate left to the portable kernels
    val decision: Rule,
    val resetAfterMissed: Int, // missed ticks in a row
    val golden: Golden,
    val interpreted: Boolean, // true: the figures are those of a reference interpreter
    val accuracy: Accuracy,
    val tools: Map<String, String>, // versions of what made the bundle
) {
    companion object {
        /**
         * Reads the text of a manifest of schema 3.
         *
         * Throws [BundleException] for whatever `manifest.schema.json` refuses, and for a bundle that
         * this runtime cannot feed: clip form, Core ML, inputs that are no 32-bit floats.
         */
        fun parse(text: String): Manifest = readManifest(text)
    }
}

/** A file of the bundle with its size in bytes and its SHA-256 in hexadecimal. */
data class FileEntry(val file: String, val bytes: Long, val sha256: String)

/**
 * A tensor of the program; [dimOrder] lists the axes of [shape] from the outermost in memory to the
 * innermost.
 */
data class TensorSpec(val name: String, val shape: List<Int>, val dimOrder: List<Int>) {
    /** How many floats it has. */
    val size: Int get() = shape.fold(1, Int::times)

    /** Whether the axes lie in memory in the order of [shape]. */
    val contiguous: Boolean get() = dimOrder == dimOrder.sorted()
}

/** A state: goes in as [input], comes out as [output] of the same shape and order. */
data class StateSpec(val input: TensorSpec, val output: String)

/** The frame that the program takes, and how a picture becomes one. */
data class InputSpec(
    val tensor: TensorSpec, // (1, 3, size, size): batch, channel, row, column
    val mean: List<Double>, // red, green, blue; (pixel / 255 - mean) / std
    val std: List<Double>,
    val size: Int, // pixels a side: the short side is resized to it, the centre is cropped
    val frameRate: Double, // frames a second
)

/** A clip with the logits that every device has to give. */
data class Golden(
    val frames: Int,
    val tolerance: Double, // bound of max |logit - golden| over max |golden|
    val inputs: GoldenFile, // 32-bit floats in the memory order of the program's input
    val pixels: GoldenFile, // bytes (frames, 3, size, size)
    val logits: GoldenFile, // 32-bit floats (frames, labels)
)

/** A raw little-endian file; frame t starts at byte t * [bytesAFrame]. */
data class GoldenFile(val file: String, val shape: List<Int>, val bytesAFrame: Int, val sha256: String)

/** Top-1 in % on the clips of the export's check, of the checkpoint and of this artifact. */
data class Accuracy(
    val data: String,
    val clips: Int,
    val checkpointTop1: Double,
    val artifactTop1: Double,
    val dropInterval: List<Double>, // 95 %, points: low, high
)
