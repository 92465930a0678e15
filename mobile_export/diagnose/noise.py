"""Noise of rounding: what eight bits add to every value of a stream graph, in decibels."""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput
from core.files import write_figure
from core.markdown import markdown
from mobile_export.console import quiet

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule, Node

    from core.checkpoint import Checkpoint
    from core.data.source import Source
    from core.model import VideoClassifier
    from mobile_export.bundle.reader import Bundle

SHOWN = 20  # rows of the printed table; the files hold all


@dataclass(frozen=True)
class Noise:
    """One rounded value. ``own_db`` and ``reached_db`` are infinite without noise."""

    name: str  # of the graph's node
    operator: str
    layer: str  # path of the module that it came from, or "after" the last one before it
    values: int  # in a frame
    own_db: float
    reached_db: float


def decibels(signal: float, noise: float) -> float:
    """Ratio of two powers."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def measure(
    exact: "GraphModule", rounded: "GraphModule", model: "VideoClassifier", clips: "list[Tensor]"
) -> "list[Noise]":
    """Noise of every rounded value over ``clips``, normalised (T, 3, S, S), worst first.

    Both graphs are one stream graph of ``model``, prepared alike; ``exact`` rounds nothing.
    """
    import torch

    nodes = {node.name: node for node in exact.graph.nodes if _observed(node)}
    quantizers = {name: rounded.get_submodule(node.target) for name, node in nodes.items()}
    powers = {name: [0.0, 0.0, 0.0] for name in nodes}
    sizes: dict[str, int] = {}
    layers = layers_of(exact)
    with torch.no_grad():
        for clip in clips:
            states = [model.initial_state(), model.initial_state()]
            for frame in clip:
                before, (_, *first) = _values(exact, nodes, [frame[None], *states[0]])
                after, (_, *second) = _values(rounded, nodes, [frame[None], *states[1]])
                states = [first, second]
                for name, power in powers.items():
                    x, quantizer = before[name], quantizers[name]
                    sizes[name] = x.numel()
                    power[0] += float(x.square().sum())
                    power[1] += float((quantizer(x) - x).square().sum())
                    power[2] += float((quantizer(after[name]) - x).square().sum())
    found = [
        Noise(
            name=name,
            operator=str(nodes[name].args[0].target).removeprefix("aten.").split(".")[0],
            layer=layers[nodes[name].args[0].name],
            values=sizes[name],
            own_db=decibels(signal, own),
            reached_db=decibels(signal, reached),
        )
        for name, (signal, own, reached) in powers.items()
    ]
    return sorted(found, key=lambda noise: noise.own_db)


def _observed(node: "Node") -> bool:
    """A fake quantizer of an activation: weights are rounded once and for all."""
    if node.op != "call_module" or "activation_post_process" not in str(node.target):
        return False
    return node.args[0].op != "get_attr"


def _values(graph: "GraphModule", nodes: "dict[str, Node]", inputs: list) -> tuple[dict, list]:
    """What goes into the fake quantizers, and the outputs."""
    import torch

    kept: dict[str, Tensor] = {}

    class Recorder(torch.fx.Interpreter):
        def call_module(self, target: str, args: tuple, kwargs: dict) -> object:
            kept[target] = args[0]
            return super().call_module(target, args, kwargs)

    outputs = list(Recorder(graph).run(*inputs))
    return {name: kept[node.target] for name, node in nodes.items()}, outputs


def layers_of(graph: "GraphModule") -> dict[str, str]:
    """Of every node the layer that computes it, or the last one before it.

    What a module does outside its ``forward``, which a stream's ``step`` is, carries no name.
    """
    found, last = {}, "input"
    for node in graph.graph.nodes:
        stack = node.meta.get("nn_module_stack") or {}
        path = list(stack.values())[-1][0] if stack else ""
        if path:
            last = path.removeprefix("model.")
        found[node.name] = last if path or last == "input" else f"after {last}"
    return found


def table(found: list[Noise]) -> str:
    """The worst, as Markdown."""
    numbers = ("values", "own dB", "reached dB")
    rows = (
        (n.name, n.operator, n.layer, n.values, f"{n.own_db:.1f}", f"{n.reached_db:.1f}")
        for n in found[:SHOWN]
    )
    return markdown(("value", "operator", "layer", *numbers), rows, numbers)


def picture(found: list[Noise], order: list[str], path: Path) -> None:
    """Both ratios from the first layer to the last, the worst named."""
    from matplotlib.figure import Figure

    by_name = {noise.name: noise for noise in found}
    order = [name for name in order if name in by_name]
    rows = [by_name[name] for name in order]
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots()
    for key, label in (("own_db", "own rounding"), ("reached_db", "reached so far")):
        axes.plot([getattr(row, key) for row in rows], marker=".", label=label)
    for noise in found[:5]:
        at = order.index(noise.name)
        axes.annotate(noise.layer, (at, noise.own_db), rotation=30, fontsize=7)
    axes.set(xlabel="value, in order of computation", ylabel="signal to quantization noise, dB")
    axes.grid(alpha=0.3)
    axes.legend()
    write_figure("--png", path, figure, dpi=120)


def graphs(
    bundle: "Bundle", checkpoint: "Checkpoint", data: "Source | None"
) -> tuple["GraphModule", "GraphModule", "VideoClassifier"]:
    """The bundle's prepared stream graph at the checkpoint's weights without rounding, the same as
    it was lowered, and the model that both are of.

    Raises ``BadInput`` when what the bundle was made with is not to be had.
    """
    with quiet():  # what these import has remarks to make
        from mobile_export.graph import forms
        from mobile_export.quantization import learned, pt2e
        from mobile_export.quantization.training import calibration_clips, scheme_of

    manifest = bundle.manifest
    target, made = manifest["target"], manifest["quantization"]
    if made is None or manifest["form"] != "stream":
        raise BadInput(f"{bundle.path} is not an int8 bundle in stream form: export one")
    if "classes" in manifest:
        raise BadInput(f"{bundle.path} has regrouped classes: diagnose an export without --classes")
    if target == "coreml" and len(set(checkpoint.config.std)) > 1:
        raise BadInput("Core ML folds a std that differs by colour: diagnose it for xnnpack")
    scheme, steps = scheme_of(target), made["training_steps"]
    paths = learned.find(checkpoint.sha256, learned.FAMILY[target], steps) if steps else []
    if steps and not paths:
        raise BadInput(
            f"what {steps} steps of training learned for {bundle.path} is neither in the package "
            f"nor in {learned.RUNS}: call this where it was exported"
        )
    model = forms.deployed(checkpoint.model, target)
    with quiet():
        exact = pt2e.prepare(model, "stream", scheme)
        # Of weights of its own: a prepared graph shares those of the model that it came from.
        rounded = pt2e.prepare(copy.deepcopy(model), "stream", scheme)
        for path in paths:  # one checkpoint may have learned on several sets of clips
            try:
                pt2e.load_learned(rounded, learned.load(path, rounded))
            except BadInput:  # of another graph, as an older version had it
                if path == paths[-1]:
                    raise
                continue
            if _apart(bundle, rounded, model) <= manifest["golden"]["tolerance"]:
                break
        if not paths:
            clips = calibration_clips(checkpoint, data)
            pt2e.calibrate(rounded, model, "stream", clips, scheme)
    return exact, rounded, model


def check_same(bundle: "Bundle", rounded: "GraphModule", model: "VideoClassifier") -> None:
    """Raise ``BadInput`` when ``rounded`` does not answer the golden clip as the bundle does."""
    apart = _apart(bundle, rounded, model)
    if apart > bundle.manifest["golden"]["tolerance"]:
        made = bundle.manifest["quantization"]
        learned = made is not None and made["training_steps"]
        why = (
            "it learned on other clips, call this where it was exported" if learned
            else "it was calibrated on other clips, give them with --data"
        )  # fmt: skip
        raise BadInput(
            f"the graph made again is {apart:.1e} from the golden clip of {bundle.path}: {why}"
        )


def _apart(bundle: "Bundle", rounded: "GraphModule", model: "VideoClassifier") -> float:
    """How far ``rounded`` answers the golden clip from the bundle's logits, over the largest."""
    import torch

    from mobile_export.runtime.inference import relative_deviation

    state, logits = model.initial_state(), []
    with torch.no_grad():
        for frame in torch.from_numpy(bundle.golden("inputs")):
            answer, *state = rounded(frame[None], *state)
            logits.append(answer)
    return relative_deviation(torch.cat(logits), torch.from_numpy(bundle.golden("logits")))
