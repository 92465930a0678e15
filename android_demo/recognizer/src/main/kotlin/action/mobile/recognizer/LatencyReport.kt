package action.mobile.recognizer

import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone

/** The device, as `latency.schema.json` has it; null where the system does not tell. */
data class DeviceFacts(
    val model: String, // as the maker calls it: Pixel 8
    val soc: String?,
    val cores: Int,
    val memoryBytes: Long?,
    val os: String, // Android
    val osVersion: String,
    val osBuild: String, // build fingerprint
    val kind: String = "android",
)

/** Heat: [status] in the words of Android's PowerManager, lower case, or `unknown`. */
data class Thermal(val status: String = "unknown", val celsius: Double? = null)

/** The battery: [level] from 0 to 1. */
data class Battery(val level: Double?, val charging: Boolean?)

/** What a run was measured under. */
data class Conditions(
    val thermalBefore: Thermal,
    val thermalAfter: Thermal,
    val powerMode: String?, // normal, low power
    val battery: Battery?,
)

/** Resident bytes of the process. */
data class MemoryUse(val beforeBytes: Long?, val steadyBytes: Long?, val peakBytes: Long?)

/** One interval of a long run, ending [atSeconds] after its start. */
data class SustainedPoint(val atSeconds: Double, val calls: Int, val p50Ms: Double, val p99Ms: Double)

/** A long run without pause; it shows throttling. */
data class Sustained(val seconds: Double, val calls: Int, val points: List<SustainedPoint>)

/** The frames that were measured, before pre-processing; [frames] is null for a camera. */
data class InputFacts(val source: String, val width: Int, val height: Int, val frames: Int?)

/** What was measured with one backend. */
class RunResult(
    val backend: String, // xnnpack, vulkan
    val fallback: String?, // why another one than the artifact's first choice ran
    val threads: Int?, // null: the backend decides
    val warmup: Int,
    val coldLoadMs: Double,
    val warmLoadMs: Double?, // of a later load, where the first was before this measurement
    val firstInferenceMs: Double,
    val stages: StageSummaries,
    val endToEndMs: DoubleArray, // every counted call in order
    val memory: MemoryUse,
    val conditions: Conditions,
    val sustained: Sustained?,
    val operatorsNote: String? = "an app traces no operators",
)

/**
 * The JSON of `latency.schema.json`, version 1.
 *
 * [createdMillis] is when the measurement began, milliseconds since 1970 UTC; [tools] are versions of
 * what measured, the runtime among them. Throws [IllegalArgumentException] for a number that is not
 * finite, without a name and without a run.
 */
fun latencyReport(
    name: String,
    createdMillis: Long,
    device: DeviceFacts,
    manifest: Manifest,
    input: InputFacts,
    runs: List<RunResult>,
    tools: Map<String, String>,
): String {
    require(name.isNotEmpty()) { "a report without a name cannot be told from others" }
    require(runs.isNotEmpty()) { "a report without a run says nothing" }
    return Json.write(
        mapOf(
            "schema" to REPORT_SCHEMA,
            "name" to name,
            "created" to utc(createdMillis),
            "device" to json(device),
            "artifact" to artifactJson(manifest),
            "accuracy" to accuracyJson(manifest),
            "input" to mapOf(
                "source" to input.source, "width" to input.width, "height" to input.height, "frames" to input.frames,
            ),
            "runs" to runs.map(::json),
            "tools" to tools,
        ),
    )
}

private const val REPORT_SCHEMA = 1

// java.time came to Android only with version 8.
private fun utc(millis: Long): String = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'Z'", Locale.ROOT)
    .apply { timeZone = TimeZone.getTimeZone("UTC") }
    .format(Date(millis))

private fun json(device: DeviceFacts) = mapOf(
    "kind" to device.kind,
    "model" to device.model,
    "soc" to device.soc,
    "cores" to device.cores,
    "memory_bytes" to device.memoryBytes,
    "os" to device.os,
    "os_version" to device.osVersion,
    "os_build" to device.osBuild,
)

private fun artifactJson(manifest: Manifest): Map<String, Any?> {
    val calls = manifest.delegateCalls
    val outside = manifest.operatorsOutside
    val known = calls != null && outside != null && calls + outside > 0
    return mapOf(
        "bundle" to manifest.name,
        "sha256" to manifest.artifact.sha256,
        "bytes" to manifest.artifact.bytes,
        "checkpoint_sha256" to manifest.checkpointSha256,
        "target" to manifest.target,
        "form" to manifest.form,
        "precision" to manifest.precision,
        "backbone" to manifest.backbone,
        "temporal" to manifest.temporal,
        "size" to manifest.input.size,
        "frame_rate" to manifest.input.frameRate,
        "frames_a_call" to 1,
        "delegate_calls" to calls,
        "operators_outside" to outside,
        "delegated_share" to if (known) calls.toDouble() / (calls + outside) else null,
    )
}

private fun accuracyJson(manifest: Manifest) = with(manifest.accuracy) {
    mapOf(
        "data" to data,
        "clips" to clips,
        "checkpoint_top1" to checkpointTop1,
        "artifact_top1" to artifactTop1,
        "drop_interval" to dropInterval,
        "interpreted" to manifest.interpreted,
    )
}

private fun json(run: RunResult): Map<String, Any?> = mapOf(
    "backend" to run.backend,
    "fallback" to run.fallback,
    "threads" to run.threads,
    "warmup" to run.warmup,
    "cold_load_ms" to rounded(run.coldLoadMs),
    "warm_load_ms" to run.warmLoadMs,
    "first_inference_ms" to rounded(run.firstInferenceMs),
    "stages" to mapOf(
        "preprocess" to json(run.stages.preprocess),
        "execute" to json(run.stages.execute),
        "postprocess" to json(run.stages.postprocess),
        "end_to_end" to json(run.stages.endToEnd),
    ),
    "end_to_end_ms" to run.endToEndMs.map(::rounded),
    "memory" to mapOf(
        "before_bytes" to run.memory.beforeBytes,
        "steady_bytes" to run.memory.steadyBytes,
        "peak_bytes" to run.memory.peakBytes,
    ),
    "conditions" to mapOf(
        "thermal_before" to json(run.conditions.thermalBefore),
        "thermal_after" to json(run.conditions.thermalAfter),
        "power_mode" to run.conditions.powerMode,
        "battery" to run.conditions.battery?.let { mapOf("level" to it.level, "charging" to it.charging) },
    ),
    "sustained" to run.sustained?.let(::json),
    "operators" to null,
    "operators_note" to run.operatorsNote,
)

private fun json(stage: StageSummary) = mapOf(
    "count" to stage.count,
    "min" to stage.min,
    "mean" to stage.mean,
    "p50" to stage.p50,
    "p90" to stage.p90,
    "p99" to stage.p99,
    "std" to stage.std,
)

private fun json(thermal: Thermal) = mapOf("status" to thermal.status, "celsius" to thermal.celsius)

private fun json(sustained: Sustained) = mapOf(
    "seconds" to sustained.seconds,
    "calls" to sustained.calls,
    "points" to sustained.points.map {
        mapOf("at_s" to it.atSeconds, "calls" to it.calls, "p50_ms" to it.p50Ms, "p99_ms" to it.p99Ms)
    },
)
