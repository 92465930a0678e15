package action.mobile.app

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest

/** A whole bundle of some kilobytes: 8 x 8 pixels, three labels, one state. */
class TinyBundle(private val name: String, private val target: String = "xnnpack") {
    private val artifact = "program of $name".toByteArray()
    private val inputs = ByteArray(FRAMES * PIXELS * Float.SIZE_BYTES)
    private val pixels = ByteArray(FRAMES * PIXELS) { 100 }
    private val logits = ByteBuffer.allocate(FRAMES * GOLDEN.size * Float.SIZE_BYTES).order(ByteOrder.LITTLE_ENDIAN)
        .apply { repeat(FRAMES) { GOLDEN.forEach(::putFloat) } }.array()

    val sha256 = hash(artifact)

    /** Its files by their names in the bundle. */
    fun files(): Map<String, ByteArray> = mapOf(
        "manifest.json" to manifest().toByteArray(),
        "model.pte" to artifact,
        "golden/inputs.f32" to inputs,
        "golden/pixels.u8" to pixels,
        "golden/logits.f32" to logits,
    )

    fun asset(folder: String = name) = files().mapKeys { "bundles/$folder/${it.key}" }

    fun write(root: File, folder: String = name): File {
        for ((file, bytes) in files()) File(root, "$folder/$file").apply { parentFile.mkdirs() }.writeBytes(bytes)
        return File(root, folder)
    }

    private fun manifest() = """
        {"schema": 3, "name": "$name", "target": "$target", "form": "stream", "precision": "int8",
         "model": {"backbone": "mobilenet_v2", "temporal": "action", "causal": true, "num_classes": 3, "width": 1.0,
                   "size": 8, "frames": 16, "frame_rate": 10.0, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
         "labels": ["No gesture", "Wave", "Point"],
         "artifact": {"file": "model.pte", "bytes": ${artifact.size}, "sha256": "$sha256"},
         "checkpoint": {"file": "c.safetensors", "sha256": "${"a".repeat(64)}"},
         "input": {"name": "frame", "kind": "tensor", "dtype": "float32", "shape": [1, 3, 8, 8], "dim_order": [0, 2, 3, 1],
                   "axes": "batch, channel, row, column", "colour_order": "RGB", "range": [-1.0, 1.0],
                   "normalisation": {"where": "caller", "formula": "(pixel / 255 - mean) / std",
                                     "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
                   "resize": {"short_side": 8, "crop": "centre", "size": 8}, "frame_rate": 10.0},
         "outputs": [{"name": "logits", "dtype": "float32", "shape": [1, 3], "dim_order": [0, 1]},
                     {"name": "s_out", "dtype": "float32", "shape": [1, 4], "dim_order": [0, 1]}],
         "state": [{"input": "s_in", "output": "s_out", "dtype": "float32", "shape": [1, 4], "dim_order": [0, 1]}],
         "quantization": null, "lowering": {"delegate_calls": 1, "operators_outside": {}},
         "decision": {"window": 2, "threshold": 0.5, "agree": 2, "release": 2, "reset_after_missed": 5,
                      "none_labels": ["No gesture"]},
         "golden": {"frames": $FRAMES, "computed_by": "a test", "tolerance": 0.05, "measured_deviation": 0.0, "files": {
            "inputs": ${array("inputs.f32", "float32", "[$FRAMES, 8, 8, 3]", PIXELS * Float.SIZE_BYTES, inputs)},
            "pixels": ${array("pixels.u8", "uint8", "[$FRAMES, 3, 8, 8]", PIXELS, pixels)},
            "logits": ${array("logits.f32", "float32", "[$FRAMES, 3]", 3 * Float.SIZE_BYTES, logits)}}},
         "execution": {"runner": "a test", "interpreted": false},
         "accuracy": {"data": "none", "clips": 1, "broken": 0, "checkpoint_top1": 100.0, "artifact_top1": 100.0,
                      "drop": 0.0, "drop_interval": [-1.0, 1.0], "only_checkpoint_right": 0, "only_artifact_right": 0,
                      "agreement": 100.0, "deviation": 0.0, "max_drop": 1.0},
         "tools": {"executorch": "1.5.1"}}
    """.trimIndent()

    private fun array(file: String, dtype: String, shape: String, bytesAFrame: Int, bytes: ByteArray) =
        """{"file": "golden/$file", "dtype": "$dtype", "shape": $shape, "bytes_a_frame": $bytesAFrame, "sha256": "${hash(bytes)}"}"""

    companion object {
        const val FRAMES = 2
        private const val PIXELS = 3 * 8 * 8

        /** The logits of every golden frame: nothing is seen. */
        val GOLDEN = floatArrayOf(4f, 0f, -1f)

        private fun hash(bytes: ByteArray) =
            MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }
    }
}
