import Foundation

/// The device, as `latency.schema.json` has it; nil where the system does not tell.
public struct DeviceFacts: Sendable {
    public let model: String  // as the maker calls it: iPhone16,1
    public let cores: Int
    public let memoryBytes: Int?
    public let os: String
    public let osVersion: String
    public let osBuild: String
    public let kind: String

    public init(
        model: String, cores: Int, memoryBytes: Int?, os: String, osVersion: String, osBuild: String,
        kind: String = "ios"
    ) {
        self.model = model
        self.cores = cores
        self.memoryBytes = memoryBytes
        self.os = os
        self.osVersion = osVersion
        self.osBuild = osBuild
        self.kind = kind
    }
}

/// Heat, in the words of Apple's `ProcessInfo.ThermalState`, or `unknown`.
public struct Thermal: Sendable, Equatable {
    public let status: String

    public init(_ status: String = "unknown") { self.status = status }
}

/// The battery: level from 0 to 1.
public struct Battery: Sendable, Equatable {
    public let level: Double?
    public let charging: Bool?

    public init(level: Double?, charging: Bool?) {
        self.level = level
        self.charging = charging
    }
}

/// What a run was measured under.
public struct Conditions: Sendable {
    let thermalBefore: Thermal
    let thermalAfter: Thermal
    let powerMode: String?
    let battery: Battery?
}

/// How the program came to be loaded.
public struct Loading: Sendable {
    public var coldMs: Double  // the process's first load of this artifact on these compute units
    public var warmMs: Double?  // a later load, if there was one
    public var units: ComputeUnits
    public var beforeBytes: Int?  // footprint before it
    public var thermal: Thermal  // before it
    public var fallback: String?  // why another model than the wanted one runs

    public init(
        coldMs: Double, warmMs: Double?, units: ComputeUnits, beforeBytes: Int?, thermal: Thermal,
        fallback: String?
    ) {
        self.coldMs = coldMs
        self.warmMs = warmMs
        self.units = units
        self.beforeBytes = beforeBytes
        self.thermal = thermal
        self.fallback = fallback
    }
}

/// One interval of a long run, ending `atSeconds` after its start.
public struct SustainedPoint: Sendable, Equatable {
    let atSeconds: Double
    let calls: Int
    let p50Ms: Double
    let p99Ms: Double
}

/// A long run without pause; it shows throttling.
public struct Sustained: Sendable, Equatable {
    public let seconds: Double
    public let calls: Int
    public let points: [SustainedPoint]
}

/// What was measured in one way.
public struct RunResult: Sendable {
    public let program: String
    public let loading: Loading
    public let warmup: Int
    public let pacedAt: Double?  // frames a second; nil: without pause
    public let firstInferenceMs: Double
    public let stages: StageSummaries
    public let endToEndMs: [Double]  // every counted call in order
    public let steadyBytes: Int?
    public let peakBytes: Int?
    public let conditions: Conditions
    public let sustained: Sustained?
}

/// Where Core ML means to run a program's operations (`MLComputePlan`): anticipated, not measured.
public struct PlacementFacts: Sendable, Equatable {
    public let neuralEngine: Int
    public let gpu: Int
    public let cpu: Int

    public init(neuralEngine: Int, gpu: Int, cpu: Int) {
        self.neuralEngine = neuralEngine
        self.gpu = gpu
        self.cpu = cpu
    }

    /// Of the operations that have a device at all, the share on the Neural Engine.
    public var share: Double? {
        let all = neuralEngine + gpu + cpu
        return all == 0 ? nil : Double(neuralEngine) / Double(all)
    }

    /// In one line for a person.
    public var line: String {
        "anticipated by MLComputePlan: \(neuralEngine) operations on the Neural Engine, \(gpu) on the GPU, "
            + "\(cpu) on the CPU"
    }
}

/// The JSON of `latency.schema.json`, version 1.
///
/// `created` is when the measurement began; `tools` are versions of what measured. Throws for a number that
/// is not finite.
public func latencyReport(
    name: String, created: Date, device: DeviceFacts, manifest: Manifest, frames: GoldenFrames,
    placement: PlacementFacts?, runs: [RunResult], tools: [String: String]
) throws -> Data {
    precondition(!name.isEmpty && !runs.isEmpty, "a report needs a name and a run")
    let note = placement.map { "an app traces no operators; \($0.line)" } ?? "an app traces no operators"
    return try Json.object([
        "schema": .number(1),
        "name": .text(name),
        "created": .text(utc(created)),
        "device": json(device),
        "artifact": artifactJson(manifest, placement),
        "accuracy": accuracyJson(manifest),
        "input": .object([
            "source": .text("golden clip, enlarged to \(frames.width)x\(frames.height)"),
            "width": .whole(frames.width), "height": .whole(frames.height), "frames": .whole(frames.count),
        ]),
        "runs": .list(runs.map { json($0, note) }),
        "tools": .object(tools.mapValues(Json.text)),
    ]).written()
}

private func utc(_ date: Date) -> String {
    date.formatted(
        .iso8601.year().month().day().time(includingFractionalSeconds: false).timeZone(separator: .omitted))
}

private func json(_ device: DeviceFacts) -> Json {
    .object([
        "kind": .text(device.kind), "model": .text(device.model), "soc": .null, "cores": .whole(device.cores),
        "memory_bytes": .orNull(device.memoryBytes, Json.whole), "os": .text(device.os),
        "os_version": .text(device.osVersion), "os_build": .text(device.osBuild),
    ])
}

private func artifactJson(_ manifest: Manifest, _ placement: PlacementFacts?) -> Json {
    .object([
        "bundle": .text(manifest.name),
        "sha256": .text(manifest.artifact.sha256),
        "bytes": .whole(manifest.artifact.bytes),
        "checkpoint_sha256": .text(manifest.checkpointSha256),
        "target": .text(Manifest.target),
        "form": .text(Manifest.form),
        "precision": .text(manifest.precision),
        "backbone": .text(manifest.backbone),
        "temporal": .text(manifest.temporal),
        "size": .whole(manifest.input.size),
        "frame_rate": .number(manifest.input.frameRate),
        "frames_a_call": .number(1),
        "delegate_calls": .null,
        "operators_outside": .null,
        "delegated_share": .orNull(placement?.share, Json.number),
    ])
}

private func accuracyJson(_ manifest: Manifest) -> Json {
    let accuracy = manifest.accuracy
    return .object([
        "data": .text(accuracy.data),
        "clips": .whole(accuracy.clips),
        "checkpoint_top1": .number(accuracy.checkpointTop1),
        "artifact_top1": .number(accuracy.artifactTop1),
        "drop_interval": .list(accuracy.dropInterval.map(Json.number)),
        "interpreted": .truth(manifest.interpreted),
    ])
}

private func json(_ run: RunResult, _ note: String) -> Json {
    .object([
        "backend": .text(run.program),
        "compute_units": .text(run.loading.units.rawValue),
        "paced_at": .orNull(run.pacedAt, Json.number),
        "fallback": .orNull(run.loading.fallback, Json.text),
        "threads": .null,
        "warmup": .whole(run.warmup),
        "cold_load_ms": .number(rounded(run.loading.coldMs)),
        "warm_load_ms": .orNull(run.loading.warmMs) { .number(rounded($0)) },
        "first_inference_ms": .number(rounded(run.firstInferenceMs)),
        "stages": .object([
            "preprocess": json(run.stages.preprocess), "execute": json(run.stages.execute),
            "postprocess": json(run.stages.postprocess), "end_to_end": json(run.stages.endToEnd),
        ]),
        "end_to_end_ms": .list(run.endToEndMs.map { .number(rounded($0)) }),
        "memory": .object([
            "before_bytes": .orNull(run.loading.beforeBytes, Json.whole),
            "steady_bytes": .orNull(run.steadyBytes, Json.whole),
            "peak_bytes": .orNull(run.peakBytes, Json.whole),
        ]),
        "conditions": .object([
            "thermal_before": json(run.conditions.thermalBefore),
            "thermal_after": json(run.conditions.thermalAfter),
            "power_mode": .orNull(run.conditions.powerMode, Json.text),
            "battery": .orNull(run.conditions.battery) { battery in
                .object([
                    "level": .orNull(battery.level, Json.number),
                    "charging": .orNull(battery.charging, Json.truth),
                ])
            },
        ]),
        "sustained": .orNull(run.sustained, json),
        "operators": .null,
        "operators_note": .text(note),
    ])
}

private func json(_ stage: StageSummary) -> Json {
    .object([
        "count": .whole(stage.count), "min": .number(stage.min), "mean": .number(stage.mean),
        "p50": .number(stage.p50), "p90": .number(stage.p90), "p99": .number(stage.p99),
        "std": .number(stage.std),
    ])
}

private func json(_ thermal: Thermal) -> Json {
    .object(["status": .text(thermal.status), "celsius": .null])
}

private func json(_ sustained: Sustained) -> Json {
    .object([
        "seconds": .number(sustained.seconds),
        "calls": .whole(sustained.calls),
        "points": .list(
            sustained.points.map { point in
                .object([
                    "at_s": .number(point.atSeconds), "calls": .whole(point.calls),
                    "p50_ms": .number(point.p50Ms),
                    "p99_ms": .number(point.p99Ms),
                ])
            }),
    ])
}
