package action.mobile.app.benchmark

import action.mobile.app.WrittenReport
import action.mobile.app.bundles.ChosenModel
import action.mobile.app.bundles.TimedPrograms
import action.mobile.recognizer.Benchmark
import action.mobile.recognizer.Candidate
import action.mobile.recognizer.DeviceFacts
import action.mobile.recognizer.FrameSource
import action.mobile.recognizer.GoldenFrames
import action.mobile.recognizer.Probe
import action.mobile.recognizer.latencyReport

/** What a report says about the device and the app around a measurement. */
class Surroundings(val device: DeviceFacts, val probe: Probe, val tools: Map<String, String>)

/** Measures one model on its golden clip and leaves the report in [folder]. Blocks. */
class Measurement(
    private val programs: TimedPrograms,
    private val surroundings: Surroundings,
    private val folder: ReportFolder,
    private val clock: () -> Long = System::nanoTime,
    private val wall: () -> Long = System::currentTimeMillis,
) {
    /**
     * The report of [model], or null when [progress] said not to go on.
     *
     * Throws `ProgramException`, `BundleException` and `IOException`.
     */
    fun run(
        model: ChosenModel,
        request: BenchmarkRequest,
        progress: (Double) -> Boolean,
    ): WrittenReport? {
        val began = wall()
        val source: FrameSource = GoldenFrames(model.bundle)
        val manifest = model.bundle.manifest
        val threads = request.threads(manifest.target, surroundings.device.cores)
        val cold = programs.firstLoadMs(manifest) // null: this measurement's own load is the first
        val candidate = Candidate(model.fallback, threads, cold) { programs.open(model.artifact, manifest, threads) }
        val benchmark = Benchmark(model.bundle, source, surroundings.probe, request.plan(), clock)
        val result = benchmark.run(candidate, progress) ?: return null
        val json = latencyReport(
            // Reports that are compared need names of their own, those of one device and bundle too.
            name = "${surroundings.device.model}, ${manifest.name}, ${ReportFolder.stamp(began)}",
            createdMillis = began,
            device = surroundings.device,
            manifest = manifest,
            input = source.facts,
            runs = listOf(result),
            tools = surroundings.tools,
        )
        val file = folder.write(json, manifest.name, began)
        val all = result.stages.endToEnd
        return WrittenReport(file.name, file.path, all.p50, all.p99, result.backend, result.fallback)
    }
}
