package action.mobile.recognizer

private const val SCHEMA = 3
private const val MOST_FLOATS = 1 shl 26 // of a tensor; 256 MB, far beyond any phone's model
private const val MOST_TENSORS = 4096
private const val MOST_FRAMES = 1024 // in a window, a run or a golden clip
private const val MOST_LABELS = 4096
private const val MOST_SIDE = 2048 // pixels
private const val COLOURS = 3
private const val LARGEST_FLOAT = 3.4e38
private val MODEL = listOf(
    "backbone", "temporal", "causal", "num_classes", "width", "size", "frames", "frame_rate", "mean", "std",
)
private val SHA256 = Regex("[0-9a-f]{64}")
private val NAME = Regex("[A-Za-z0-9_][A-Za-z0-9_.-]*")

/** A manifest's text as data; see [Manifest.parse]. */
internal fun readManifest(text: String): Manifest {
    val root = Node(Json.parse(text), "$")
    val schema = root["schema"].whole(0, Int.MAX_VALUE)
    if (schema != SCHEMA) {
        throw BundleException("a manifest of schema $schema: this app reads $SCHEMA; export again with its version")
    }
    root.keys(
        "schema", "name", "target", "form", "precision", "model", "labels", "artifact", "checkpoint",
        "input", "outputs", "state", "quantization", "lowering", "decision", "golden", "execution", "accuracy",
        "tools",
        optional = listOf("classes"),
    )
    root.orNone("classes")?.members { it.items(1, MOST_LABELS) { name -> name.text() } }
    val form = root["form"].one("stream", "clip")
    if (form != "stream") {
        throw BundleException("a bundle in $form form: a camera gives one frame at a time; export with --form stream")
    }
    val target = root["target"].one("coreml", "xnnpack", "vulkan")
    if (target == "coreml") {
        throw BundleException("a bundle for $target, which Android has not: export with --target xnnpack or vulkan")
    }
    checkOrigin(root)
    val labels = root["labels"].items(1, MOST_LABELS) { it.text() }
    val input = readInput(root["input"])
    val outputs = root["outputs"].items(1, MOST_TENSORS) {
        it.keys("name", "shape", "dim_order", "dtype")
        readTensor(it, "name")
    }
    val state = root["state"].items(0, MOST_TENSORS) {
        it.keys("input", "output", "shape", "dim_order", "dtype")
        StateSpec(readTensor(it, "input"), it["output"].text())
    }
    checkFlow(root, labels, outputs, state)
    val lowering = root["lowering"]
    return Manifest(
        name = root["name"].matching(NAME),
        target = target,
        form = form,
        precision = root["precision"].one("int8", "fp16", "fp32"),
        backbone = root["model"]["backbone"].text(),
        temporal = root["model"]["temporal"].text(),
        labels = labels,
        artifact = readFile(root["artifact"]),
        checkpointSha256 = root["checkpoint"]["sha256"].matching(SHA256),
        input = input,
        outputs = outputs,
        state = state,
        delegateCalls = lowering.orNone("delegate_calls")?.whole(0, Int.MAX_VALUE),
        operatorsOutside = lowering.orNone("operators_outside")?.counts(),
        decision = readRule(root["decision"], labels),
        resetAfterMissed = root["decision"]["reset_after_missed"].whole(1, Int.MAX_VALUE),
        golden = readGolden(root["golden"], input, labels.size),
        interpreted = readExecution(root["execution"]),
        accuracy = readAccuracy(root["accuracy"]),
        tools = root["tools"].texts(),
    )
}

/** What a device does not use but the format asks for. */
private fun checkOrigin(root: Node) {
    root["checkpoint"].keys("file", "sha256")["file"].text()
    root["quantization"].orNull {
        it["method"].text()
        it["calibration_clips"].whole(1, Int.MAX_VALUE)
        it["training_steps"].whole(0, Int.MAX_VALUE)
    }
    for (name in MODEL) root["model"][name]
}

private fun readFile(node: Node): FileEntry {
    node.keys("file", "bytes", "sha256")
    val bytes = node["bytes"].whole(1, Int.MAX_VALUE).toLong()
    return FileEntry(node["file"].matching(NAME), bytes, node["sha256"].matching(SHA256))
}

/** Shape and order of a tensor whose name is member [name] of [node]; no other type than floats. */
private fun readTensor(node: Node, name: String): TensorSpec {
    val shape = node["shape"].items(1, 4) { it.whole(1, MOST_FLOATS) }
    if (shape.fold(1.0) { size, side -> size * side } > MOST_FLOATS) node["shape"].fail("has too many values")
    val order = node["dim_order"].items(1, 4) { it.whole(0, 3) }
    if (order.sorted() != shape.indices.toList()) node["dim_order"].fail("does not order the axes of $shape")
    if (node["dtype"].one("float32", "float16", "uint8") != "float32") {
        throw BundleException("${node["dtype"].path} is not float32, which is all that this app feeds: export again")
    }
    return TensorSpec(node[name].text(), shape, order)
}

private fun readInput(node: Node): InputSpec {
    node.keys(
        "name", "kind", "shape", "dim_order", "dtype", "axes", "colour_order", "range", "normalisation", "resize",
        "frame_rate",
    )
    if (node["kind"].one("tensor", "image") != "tensor") {
        throw BundleException("an input that is an image, as Core ML takes it: export with --target xnnpack or vulkan")
    }
    node["colour_order"].one("RGB")
    node["axes"].text()
    node["range"].items(2, 2) { it.number() }
    val how = node["normalisation"].keys("where", "formula", "mean", "std")
    how["where"].one("caller")
    how["formula"].one("(pixel / 255 - mean) / std")
    val resize = node["resize"].keys("short_side", "crop", "size")
    resize["crop"].one("centre")
    val size = resize["size"].whole(1, MOST_SIDE)
    // Another short side would need a crop out of a larger picture; no exporter writes one.
    if (resize["short_side"].whole(1, MOST_SIDE) != size) resize["short_side"].fail("is not the size $size")
    val tensor = readTensor(node, "name")
    if (tensor.shape != listOf(1, COLOURS, size, size)) node["shape"].fail("is not [1, $COLOURS, $size, $size]")
    return InputSpec(
        tensor = tensor,
        mean = how["mean"].items(COLOURS, COLOURS) { it.number(-LARGEST_FLOAT, LARGEST_FLOAT) },
        std = how["std"].items(COLOURS, COLOURS) { it.number(1e-6, LARGEST_FLOAT) },
        size = size,
        frameRate = node["frame_rate"].number(1e-3, 1e3),
    )
}

/** The logits come first, and every other output is the next state of exactly one input. */
private fun checkFlow(root: Node, labels: List<String>, outputs: List<TensorSpec>, state: List<StateSpec>) {
    if (labels.toSet().size != labels.size) root["labels"].fail("has a label twice")
    val logits = listOf(1, labels.size)
    if (outputs[0].shape != logits) root["outputs"].fail("starts with another shape than $logits")
    val names = outputs.map { it.name }
    if (names.toSet().size != names.size) root["outputs"].fail("has a name twice")
    if (names.drop(1).sorted() != state.map { it.output }.sorted()) root["state"].fail("does not match the outputs")
    if (state.sumOf { it.input.size.toLong() } > MOST_FLOATS) root["state"].fail("has too many values")
    val inputs = state.map { it.input.name } + root["input"]["name"].text()
    if (inputs.toSet().size != inputs.size) root["state"].fail("has an input twice")
    val places = outputs.associateBy { it.name }
    for (one in state) {
        val next = places.getValue(one.output)
        if (next.shape != one.input.shape || next.dimOrder != one.input.dimOrder) {
            root["state"].fail("has ${one.input.name} going in as ${one.input.shape}, coming out as ${next.shape}")
        }
    }
}

private fun readRule(node: Node, labels: List<String>): Rule {
    node.keys(
        "window", "threshold", "agree", "release", "reset_after_missed", "none_labels",
        optional = listOf("chosen"), // what the numbers rest on
    )
    return Rule(
        labels = labels,
        noneLabels = node["none_labels"].items(0, MOST_LABELS) { it.text() }.toSet(),
        window = node["window"].whole(1, MOST_FRAMES),
        threshold = node["threshold"].number(0.0, 1.0),
        agree = node["agree"].whole(1, Int.MAX_VALUE),
        release = node["release"].whole(1, Int.MAX_VALUE),
    )
}

private fun readGolden(node: Node, input: InputSpec, labels: Int): Golden {
    node.keys("frames", "computed_by", "tolerance", "measured_deviation", "files")
    node["computed_by"].text()
    node["measured_deviation"].orNull { it.number(0.0) }
    val frames = node["frames"].whole(1, MOST_FRAMES)
    val files = node["files"].keys("inputs", "pixels", "logits")
    val picture = listOf(frames, COLOURS, input.size, input.size)
    // Axis 0 of the program's input is the batch of one, in whose place the file has the frames.
    val fed = input.tensor.dimOrder.map { picture[it] }
    return Golden(
        frames = frames,
        tolerance = node["tolerance"].number(Double.MIN_VALUE, 0.5),
        inputs = readArray(files["inputs"], "golden/inputs.f32", "float32", fed),
        pixels = readArray(files["pixels"], "golden/pixels.u8", "uint8", picture),
        logits = readArray(files["logits"], "golden/logits.f32", "float32", listOf(frames, labels)),
    )
}

private fun readArray(node: Node, file: String, dtype: String, shape: List<Int>): GoldenFile {
    node.keys("file", "dtype", "shape", "bytes_a_frame", "sha256")
    node["file"].one(file)
    node["dtype"].one(dtype)
    if (node["shape"].items(1, 4) { it.whole(1, MOST_FLOATS) } != shape) node["shape"].fail("is not $shape")
    val bytes = shape.drop(1).fold(if (dtype == "uint8") 1 else Float.SIZE_BYTES, Int::times)
    if (node["bytes_a_frame"].whole(1, Int.MAX_VALUE) != bytes) node["bytes_a_frame"].fail("is not $bytes")
    if (shape[0].toLong() * bytes > Int.MAX_VALUE) node["shape"].fail("has too many values")
    return GoldenFile(file, shape, bytes, node["sha256"].matching(SHA256))
}

private fun readExecution(node: Node): Boolean {
    node.keys("runner", "interpreted")["runner"].text()
    return node["interpreted"].truth()
}

private fun readAccuracy(node: Node): Accuracy {
    node.keys(
        "data", "clips", "broken", "checkpoint_top1", "artifact_top1", "drop", "drop_interval",
        "only_checkpoint_right", "only_artifact_right", "agreement", "deviation", "max_drop",
        optional = listOf("gate_interval", "verdict", "failures"),
    )
    // Bundles from before the verdict have neither; those that failed their check say why.
    node.orNone("verdict")?.one("passed", "failed", "not shown")
    node.orNone("gate_interval")?.items(2, 2) { it.number() }
    node.orNone("failures")?.items(1, MOST_LABELS) { it.text() }
    for (name in listOf("broken", "only_checkpoint_right", "only_artifact_right")) node[name].whole(0, Int.MAX_VALUE)
    node["agreement"].number(0.0, 100.0)
    node["drop"].number()
    node["deviation"].orNull { it.number(0.0) }
    node["max_drop"].number(0.0)
    return Accuracy(
        data = node["data"].text(),
        clips = node["clips"].whole(1, Int.MAX_VALUE),
        checkpointTop1 = node["checkpoint_top1"].number(0.0, 100.0),
        artifactTop1 = node["artifact_top1"].number(0.0, 100.0),
        dropInterval = node["drop_interval"].items(2, 2) { it.number() },
    )
}
