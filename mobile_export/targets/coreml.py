"""Lowering to Core ML packages (ML Programs) for the Neural Engine; iOS 17 is the minimum.

Stream form: an image input ``frame`` (RGB pixels), the state as explicit inputs and outputs,
logits. Clip form: a multi-array ``clip`` (T, 3, S, S) that is normalised already. int8 is W8A8 by
torchao's PT2E flow, converted directly; its scales are rounded to half precision in the converted
graph, because the package holds them so, and both then quantize alike. w8a16 is coremltools'
weight-only quantization of the fp16 package.

The package is a plain model, not a Core ML classifier: a classifier would replace the logits by
probabilities of one frame, and the decision is taken over several frames. The labels are in the
user-defined metadata.
"""

import contextlib
import copy
import json
import os
import shutil
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import BadInput
from core.model import ModelConfig, VideoClassifier
from mobile_export.combinations import DEPLOYMENT_TARGETS
from mobile_export.console import quiet
from mobile_export.graph.forms import (
    apart,
    deployed,
    example_inputs,
    graph_of,
    headed,
    input_ports,
    output_ports,
)
from mobile_export.targets import Lowered, LoweringError

if TYPE_CHECKING:
    from mobile_export.quantization.pt2e import Learned

ARTIFACT = "model.mlpackage"
COMBINATIONS = {
    ("stream", "fp32"),
    ("stream", "fp16"),
    ("stream", "int8"),
    ("clip", "fp32"),
    ("clip", "fp16"),
    ("stream", "w8a16"),
    ("clip", "w8a16"),
}
MAX_RANK = 4  # the Neural Engine takes 5; every tensor of this project's graphs has at most 4
RECIPE = (
    "W8A8: symmetric int8 weights per channel, 8-bit activations per tensor, min-max over "
    "calibration clips, of convolutions that give maps; all else fp16; torchao PT2E with the "
    "specifications of ExecuTorch's CoreMLQuantizer"
)

RECIPES = {
    "int8": RECIPE,
    "w8a16": "weights symmetric int8 per channel, those of up to 2,048 values in fp16; activations "
    "fp16; coremltools' linear_quantize_weights, no calibration",
}
FEWEST_WEIGHTS = 2048  # coremltools' default: smaller tensors are not worth a dequantization


class RescaledFrame(nn.Module):
    """A graph whose stem expects ``frame * factor``, fed with the normalised frame.

    An image input has one scale. Where the channels' std differ, the rest of the normalisation is
    in the stem's weights, and this undoes it for callers that have normalised by channel.
    """

    def __init__(self, graph: nn.Module, factor: Tensor) -> None:
        super().__init__()
        self.graph = graph
        self.register_buffer("factor", factor.view(1, 3, 1, 1))

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        return self.graph(frame * self.factor, *state)


def lower(
    model: VideoClassifier,
    form: str,
    precision: str,
    calibration: list[Tensor],
    out: Path,
    *,
    labels: list[str],
    learned: "Learned | None" = None,
    allow_partial: bool = False,
    deployment_target: str = DEPLOYMENT_TARGETS[0],
) -> Lowered:
    """Write ``out/model.mlpackage``; the contract is in ``mobile_export.targets``.

    ``deployment_target`` is the oldest system that loads it, by coremltools' name. Raises
    ``BadInput`` for a combination that Core ML cannot do or an int8 export without clips,
    ``LoweringError`` when the program breaks a rule of the Neural Engine (see ``violations``);
    ``allow_partial`` lists the breaches in ``details`` instead.
    """
    if (form, precision) not in COMBINATIONS:
        raise BadInput(
            f"Core ML has no {precision} {form} export: int8 is for the stream form, choose "
            "stream, or clip with fp16 or fp32"
        )
    model = deployed(model, "coreml")
    config = model.config
    model, head = apart(model)
    factor = torch.ones(3)
    if form == "stream" and len(set(config.std)) > 1:
        model, factor = _fold_std(model)
    graph = graph_of(model, form)
    if precision == "int8":
        from mobile_export.quantization.coreml import SCHEME
        from mobile_export.quantization.pt2e import quantize

        clips = [clip * factor.view(1, 3, 1, 1) for clip in calibration]
        graph = quantize(model, form, SCHEME, clips, learned)
    if precision == "w8a16":
        graph = weights_in_int8(graph)
    graph = headed(graph, head)
    package = _convert(graph, model, form, precision, deployment_target)
    if precision == "w8a16":
        package = _compressed(package)
    _describe(package, config, form, precision, labels)
    spec = package.get_spec()
    broken = violations(spec, precision)
    if broken and not allow_partial:
        raise LoweringError(f"Core ML {form} {precision}: {broken[0]} (--allow-partial to accept)")
    converted = graph if bool((factor == 1).all()) else RescaledFrame(graph, factor)
    details = _details(spec, form, precision, deployment_target) | {"violations": broken}
    return Lowered(_save(package, Path(out)), converted, details)


def _fold_std(model: VideoClassifier) -> tuple[VideoClassifier, Tensor]:
    """A copy whose stem takes ``(pixel / 255 - mean) / std[0]`` in every channel, and the factor
    ``std / std[0]`` that leads from the model's own normalisation to that one.

    Exact, at the zero-padded border as well: zero stays zero.
    """
    std = torch.tensor(model.config.std)
    factor = std / std[0]
    folded = copy.deepcopy(model)
    stem = next(m for m in folded.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3)
    with torch.no_grad():
        stem.weight /= factor.view(1, 3, 1, 1)
    return folded, factor


def _convert(graph: nn.Module, model: VideoClassifier, form: str, precision: str, oldest: str):
    """Export and convert; an ``MLModel`` that is not loaded."""
    ct = _coremltools()
    exported = torch.export.export(graph, example_inputs(model, form, "coreml"))
    exported = exported.run_decompositions({})  # the dialect that the converter takes
    half = precision != "fp32"
    number = np.float16 if half else np.float32
    ports = input_ports(model, form, "coreml")
    inputs = [ct.TensorType(name=p.name, shape=p.shape, dtype=number) for p in ports]
    if form == "stream":
        config = model.config
        inputs[0] = ct.ImageType(
            name=ports[0].name,
            shape=ports[0].shape,
            color_layout=ct.colorlayout.RGB,
            scale=1 / (255 * config.std[0]),
            bias=[-mean / config.std[0] for mean in config.mean],
        )
    outputs = [
        ct.TensorType(name=p.name, dtype=number) for p in output_ports(model, form, "coreml")
    ]
    with quiet():
        return ct.convert(
            exported,
            inputs=inputs,
            outputs=outputs,
            minimum_deployment_target=ct.target[oldest],
            compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
            skip_model_load=True,
        )


def weights_in_int8(graph: nn.Module) -> nn.Module:
    """A copy of ``graph`` whose larger weights lie on the steps that ``_compressed`` gives them."""
    rounded = copy.deepcopy(graph)
    with torch.no_grad():
        for module in rounded.modules():
            if not isinstance(module, nn.Conv2d | nn.Linear):
                continue
            weight = module.weight
            if weight.numel() <= FEWEST_WEIGHTS:
                continue
            step = weight.abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True) / 127
            step = step.clamp_min(torch.finfo(weight.dtype).tiny)
            weight.copy_((weight / step).round() * step)
    return rounded


def _compressed(package):
    """The package with its larger weights in int8, symmetric, per channel."""
    from coremltools.optimize import coreml as cto

    how = cto.OpLinearQuantizerConfig(
        mode="linear_symmetric",
        dtype="int8",
        granularity="per_channel",
        weight_threshold=FEWEST_WEIGHTS,
    )
    with quiet():
        return cto.linear_quantize_weights(package, cto.OptimizationConfig(global_config=how))


def _coremltools():
    """coremltools, without its remarks on import (macOS libraries, untested versions)."""
    with quiet():
        import coremltools
    return coremltools


def _describe(package, config: ModelConfig, form: str, precision: str, labels: list[str]) -> None:
    """Fill in what Xcode shows and what an app reads."""
    package.author = "action-mobile"
    package.license = "MIT"
    with contextlib.suppress(PackageNotFoundError):  # run from a checkout, not installed
        package.version = version("action-mobile")
    model = f"{config.temporal} {config.backbone}"
    package.short_description = f"Gesture recogniser, {model}, {form} form, {precision}"
    package.user_defined_metadata.update(
        {
            "labels": json.dumps(labels),
            "form": form,
            "precision": precision,
            "frame_rate": f"{config.frame_rate:g}",
            "config": json.dumps(config.to_dict()),
            "input": "RGB pixels 0..255, normalised inside the program"
            if form == "stream"
            else "(pixel / 255 - mean) / std, RGB, frames along the first axis",
        }
    )


def violations(spec, precision: str) -> list[str]:
    """Breaches of the rules that keep a program on the Neural Engine, each naming its operation.

    Rank at most 4, no 3-D convolution, no fp32 arithmetic in a half-precision program (the scaling
    of an image, which Core ML does before the cast, is none), no batch norm left, and for int8 an
    int8 weight in every convolution that gives a map.
    """
    from coremltools.proto import MIL_pb2

    if precision == "int8":  # which has imported torchao already
        from mobile_export.quantization.coreml import gives_map as int8_is_for
    images = {i.name for i in spec.description.input if i.type.HasField("imageType")}
    int8 = {MIL_pb2.DataType.Value(name) for name in ("INT8", "UINT8")}
    types: dict[str, int] = {}  # of constants
    compressed: set[str] = set()
    found = []
    for operation in _operations(spec):
        kind, output = operation.type, operation.outputs[0]
        tensor = output.type.tensorType
        where = f"{kind} {output.name}"
        read = {b.name for argument in operation.inputs.values() for b in argument.arguments}
        if tensor.rank > MAX_RANK:
            found.append(f"{where} has rank {tensor.rank}, more than {MAX_RANK}")
        if kind == "conv" and tensor.rank != 4:
            found.append(f"{where} is not a 2-D convolution")
        if kind == "batch_norm":
            found.append(f"{where} was not folded into a convolution")
        if MIL_pb2.DataType.Name(tensor.dataType) == "FLOAT32" and precision != "fp32":
            if kind in ("add", "mul") and read & images:
                images.add(output.name)
            elif kind != "const":
                found.append(f"{where} computes in fp32")
        if kind == "const":
            types[output.name] = tensor.dataType
        if kind.startswith("constexpr") and _stored(operation, types) in int8:
            compressed.add(output.name)
        if kind == "conv" and precision == "int8" and int8_is_for(_shape(tensor)):
            weight = operation.inputs["weight"].arguments[0].name
            if weight not in compressed:
                found.append(f"{where} has a weight that is not int8")
    return found


def _shape(tensor) -> list[int]:
    return [dimension.constant.size for dimension in tensor.dimensions]


def _stored(operation, types: dict[str, int]) -> int | None:
    """The type of a compressed weight's numbers; ``types`` are those of constants."""
    if operation.type == "constexpr_affine_dequantize":
        return operation.attributes["quantized_data"].type.tensorType.dataType
    if operation.type != "constexpr_blockwise_shift_scale":  # the same from iOS 18 on
        return None
    binding = operation.inputs["data"].arguments[0]
    if binding.WhichOneof("binding") == "value":
        return binding.value.type.tensorType.dataType
    return types.get(binding.name)


def _operations(spec) -> list:
    function = spec.mlProgram.functions["main"]
    return list(function.block_specializations[function.opset].operations)


def _details(spec, form: str, precision: str, oldest: str) -> dict:
    """What the manifest says about the program."""
    operations = [o for o in _operations(spec) if o.type != "const"]
    return {
        "operators": dict(Counter(o.type for o in operations).most_common()),
        "max_rank": max(o.outputs[0].type.tensorType.rank for o in operations),
        "deployment_target": oldest,
        "compute_precision": "float32" if precision == "fp32" else "float16",
        "recipe": RECIPES.get(precision, "none"),
        "input": "image, RGB pixels" if form == "stream" else "multi-array, normalised",
    }


def _save(package, out: Path) -> Path:
    """Write under a temporary name and rename; an older package gives way at the last moment."""
    out.mkdir(parents=True, exist_ok=True)
    final, temporary = out / ARTIFACT, out / f"tmp-{ARTIFACT}"
    shutil.rmtree(temporary, ignore_errors=True)
    package.save(str(temporary))
    # Debug handles of the converter, as large as the program itself and read by no runtime.
    (temporary / "executorch_debug_handle_mapping.json").unlink(missing_ok=True)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(temporary, final)
    return final
