import Foundation

private let schema = 3
private let mostValues = 1 << 26  // of a tensor; 256 MB, far beyond any phone's model
private let mostTensors = 4096
private let mostFrames = 1024  // in a window, a run or a golden clip
private let mostLabels = 4096
private let mostSide = 2048  // pixels
private let colours = 3
private let largestFloat = 3.4e38
private let modelMembers = [
    "backbone", "temporal", "causal", "num_classes", "width", "size", "frames", "frame_rate", "mean", "std",
]

/// A manifest's text as data; see `Manifest.parse`.
func readManifest(_ data: Data) throws -> Manifest {
    let root = Node(try Json.parse(data))
    let found = try root["schema"].whole(least: 0)
    guard found == schema else {
        throw BundleError(
            "a manifest of schema \(found): this app reads \(schema); export again with its version")
    }
    try root.keys(
        "schema", "name", "target", "form", "precision", "model", "labels", "artifact", "checkpoint",
        "input", "outputs", "state", "quantization", "lowering", "decision", "golden", "execution",
        "accuracy",
        "tools", optional: ["classes"])
    try root.orNone("classes")?.members { try $0.items(1, mostLabels) { try $0.text() } }
    guard try root["form"].one("stream", "clip") == Manifest.form else {
        throw BundleError(
            "a bundle in clip form: a camera gives one frame at a time; export with --form stream")
    }
    let target = try root["target"].one("coreml", "xnnpack", "vulkan")
    guard target == Manifest.target else {
        throw BundleError("a bundle for \(target), which this app does not run: export with --target coreml")
    }
    try root["checkpoint"].keys("file", "sha256")["file"].text()
    for name in modelMembers { _ = try root["model"][name] }
    let labels = try root["labels"].items(1, mostLabels) { try $0.text() }
    let input = try readInput(root["input"])
    let outputs = try root["outputs"].items(1, mostTensors) { node in
        try node.keys("name", "shape", "dim_order", "dtype")
        return try readTensor(node, name: "name")
    }
    let state = try root["state"].items(0, mostTensors) { node in
        try node.keys("input", "output", "shape", "dim_order", "dtype")
        return StateSpec(input: try readTensor(node, name: "input"), output: try node["output"].text())
    }
    try checkFlow(root, labels, outputs, state)
    let oldest = try root["lowering"].orNone("deployment_target")
    return Manifest(
        name: try root["name"].fileName(),
        precision: try root["precision"].one("int8", "w8a16", "fp16", "fp32"),
        method: try root["quantization"].orNull(readMethod),
        backbone: try root["model"]["backbone"].text(),
        temporal: try root["model"]["temporal"].text(),
        labels: labels,
        artifact: try readFile(root["artifact"]),
        checkpointSha256: try root["checkpoint"]["sha256"].sha256(),
        input: input,
        outputs: outputs,
        state: state,
        decision: try readRule(root["decision"], labels),
        resetAfterMissed: try root["decision"]["reset_after_missed"].whole(least: 1),
        golden: try readGolden(root["golden"], input, labels.count),
        interpreted: try readExecution(root["execution"]),
        accuracy: try readAccuracy(root["accuracy"]),
        tools: try root["tools"].texts(),
        oldestSystem: try oldest.map(readSystem))
}

/// The number in a deployment target, coremltools' name of the oldest system that loads the package.
private func readSystem(_ node: Node) throws -> Int {
    let name = try node.text()
    guard name.hasPrefix("iOS"), let number = Int(name.dropFirst(3)), number > 0 else {
        throw node.fail("is no system like iOS17")
    }
    return number
}

private func readMethod(_ node: Node) throws -> String {
    try node["calibration_clips"].whole(least: 1)
    try node["training_steps"].whole(least: 0)
    return try node["method"].text()
}

private func readFile(_ node: Node) throws -> FileEntry {
    try node.keys("file", "bytes", "sha256")
    return FileEntry(
        file: try node["file"].fileName(), bytes: try node["bytes"].whole(least: 1),
        sha256: try node["sha256"].sha256())
}

/// Shape and type of a tensor whose name is member `name` of the node.
private func readTensor(_ node: Node, name: String) throws -> TensorSpec {
    let shape = try readShape(node["shape"])
    let order = try node["dim_order"].items(1, 4) { try $0.whole(least: 0, most: 3) }
    // Core ML's arrays have the order of their shape; their strides are asked for on the device.
    guard order == Array(shape.indices) else {
        throw try node["dim_order"].fail("is not the order of the shape, which Core ML's arrays have")
    }
    guard let scalar = Scalar(rawValue: try node["dtype"].one("float16", "float32")) else {
        throw try node["dtype"].fail("is no type of this app")
    }
    return TensorSpec(name: try node[name].text(), shape: shape, scalar: scalar)
}

private func readShape(_ node: Node) throws -> [Int] {
    let shape = try node.items(1, 4) { try $0.whole(least: 1, most: mostValues) }
    guard shape.reduce(1.0, { $0 * Double($1) }) <= Double(mostValues) else {
        throw node.fail("has too many values")
    }
    return shape
}

private func readInput(_ node: Node) throws -> InputSpec {
    try node.keys(
        "name", "kind", "shape", "dim_order", "dtype", "axes", "colour_order", "range", "normalisation",
        "resize",
        "frame_rate")
    guard try node["kind"].one("tensor", "image") == "image" else {
        throw BundleError("an input that is a tensor: this app gives an image; export with --target coreml")
    }
    try node["colour_order"].one("RGB")
    try node["axes"].text()
    try node["dtype"].one("float32", "float16", "uint8")
    try node["dim_order"].items(4, 4) { try $0.whole(least: 0, most: 3) }
    let range = try node["range"].items(2, 2) { try $0.number() }
    guard range == [0, 255] else { throw try node["range"].fail("is not that of a byte") }
    let how = try node["normalisation"].keys("where", "formula", "mean", "std")
    try how["where"].one("in the graph")
    try how["formula"].one("(pixel / 255 - mean) / std")
    try how["mean"].items(colours, colours) { try $0.number(least: -largestFloat, most: largestFloat) }
    try how["std"].items(colours, colours) { try $0.number(least: 1e-6, most: largestFloat) }
    let resize = try node["resize"].keys("short_side", "crop", "size")
    try resize["crop"].one("centre")
    let size = try resize["size"].whole(least: 1, most: mostSide)
    // Another short side would need a crop out of a larger picture; no exporter writes one.
    guard try resize["short_side"].whole(least: 1, most: mostSide) == size else {
        throw try resize["short_side"].fail("is not the size \(size)")
    }
    guard try readShape(node["shape"]) == [1, colours, size, size] else {
        throw try node["shape"].fail("is not \([1, colours, size, size])")
    }
    return InputSpec(
        name: try node["name"].text(), size: size,
        frameRate: try node["frame_rate"].number(least: 1e-3, most: 1e3))
}

/// The logits come first, and every other output is the next state of exactly one input.
private func checkFlow(
    _ root: Node, _ labels: [String], _ outputs: [TensorSpec], _ state: [StateSpec]
) throws {
    guard Set(labels).count == labels.count else { throw try root["labels"].fail("has a label twice") }
    guard outputs[0].shape == [1, labels.count] else {
        throw try root["outputs"].fail("starts with another shape than \([1, labels.count])")
    }
    let names = outputs.map(\.name)
    guard Set(names).count == names.count else { throw try root["outputs"].fail("has a name twice") }
    guard names.dropFirst().sorted() == state.map(\.output).sorted() else {
        throw try root["state"].fail("does not match the outputs")
    }
    guard state.reduce(0, { $0 + $1.input.size }) <= mostValues else {
        throw try root["state"].fail("has too many values")
    }
    let inputs = state.map(\.input.name) + [try root["input"]["name"].text()]
    guard Set(inputs).count == inputs.count else { throw try root["state"].fail("has an input twice") }
    let places = Dictionary(uniqueKeysWithValues: outputs.map { ($0.name, $0) })
    for one in state {
        guard let next = places[one.output], next.shape == one.input.shape, next.scalar == one.input.scalar
        else {
            throw try root["state"].fail(
                "has \(one.input.name) coming out of another shape or type than it goes in")
        }
    }
}

private func readRule(_ node: Node, _ labels: [String]) throws -> Rule {
    try node.keys(
        "window", "threshold", "agree", "release", "reset_after_missed", "none_labels",
        optional: ["chosen"])  // what the numbers rest on
    return Rule(
        labels: labels,
        noneLabels: Set(try node["none_labels"].items(0, mostLabels) { try $0.text() }),
        window: try node["window"].whole(least: 1, most: mostFrames),
        threshold: try node["threshold"].number(least: 0, most: 1),
        agree: try node["agree"].whole(least: 1),
        release: try node["release"].whole(least: 1))
}

private func readGolden(_ node: Node, _ input: InputSpec, _ labels: Int) throws -> Golden {
    try node.keys("frames", "computed_by", "tolerance", "measured_deviation", "files")
    try node["computed_by"].text()
    _ = try node["measured_deviation"].orNull { try $0.number(least: 0) }
    let frames = try node["frames"].whole(least: 1, most: mostFrames)
    let files = try node["files"].keys("inputs", "pixels", "logits")
    let picture = [frames, colours, input.size, input.size]
    return Golden(
        frames: frames,
        tolerance: try node["tolerance"].number(least: Double.leastNonzeroMagnitude, most: 0.5),
        inputs: try readArray(files["inputs"], "golden/inputs.f32", "float32", picture),
        pixels: try readArray(files["pixels"], "golden/pixels.u8", "uint8", picture),
        logits: try readArray(files["logits"], "golden/logits.f32", "float32", [frames, labels]))
}

private func readArray(_ node: Node, _ file: String, _ dtype: String, _ shape: [Int]) throws -> GoldenFile {
    try node.keys("file", "dtype", "shape", "bytes_a_frame", "sha256")
    try node["file"].one(file)
    try node["dtype"].one(dtype)
    let found = try readShape(node["shape"])
    guard found.sorted() == shape.sorted(), found[0] == shape[0] else {
        throw try node["shape"].fail("is not \(shape)")
    }
    let bytes = shape.dropFirst().reduce(dtype == "uint8" ? 1 : 4, *)
    guard try node["bytes_a_frame"].whole(least: 1) == bytes else {
        throw try node["bytes_a_frame"].fail("is not \(bytes)")
    }
    return GoldenFile(file: file, shape: found, bytesAFrame: bytes, sha256: try node["sha256"].sha256())
}

private func readExecution(_ node: Node) throws -> Bool {
    try node.keys("runner", "interpreted")["runner"].text()
    return try node["interpreted"].truth()
}

private func readAccuracy(_ node: Node) throws -> Accuracy {
    try node.keys(
        "data", "clips", "broken", "checkpoint_top1", "artifact_top1", "drop", "drop_interval",
        "only_checkpoint_right", "only_artifact_right", "agreement", "deviation", "max_drop",
        optional: ["gate_interval", "verdict", "failures"])
    // Bundles from before the verdict have neither; those that failed their check say why.
    _ = try node.orNone("verdict")?.one("passed", "failed", "not shown")
    _ = try node.orNone("gate_interval")?.items(2, 2) { try $0.number() }
    _ = try node.orNone("failures")?.items(1, mostLabels) { try $0.text() }
    for name in ["broken", "only_checkpoint_right", "only_artifact_right"] { try node[name].whole(least: 0) }
    try node["agreement"].number(least: 0, most: 100)
    try node["drop"].number()
    _ = try node["deviation"].orNull { try $0.number(least: 0) }
    try node["max_drop"].number(least: 0)
    return Accuracy(
        data: try node["data"].text(),
        clips: try node["clips"].whole(least: 1),
        checkpointTop1: try node["checkpoint_top1"].number(least: 0, most: 100),
        artifactTop1: try node["artifact_top1"].number(least: 0, most: 100),
        dropInterval: try node["drop_interval"].items(2, 2) { try $0.number() })
}
