"""Quantization with torchao's PT2E flow: export, prepare, calibrate, perhaps train, convert.

A target's ``Scheme`` says which quantizer annotates the graph and what is finished afterwards. Its
quantizer places fake quantizers. Post-training quantization lets them observe float activations on
clips and fixes what they saw; quantization-aware training (``quantization.qat``) then lets them
round while the weights learn. Either way the graph that was prepared is the one that is converted.

Source: torchao's PT2E quantization, in the pinned version.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torchao.quantization.pt2e import (
    disable_fake_quant,
    disable_observer,
    enable_fake_quant,
    enable_observer,
    move_exported_model_to_eval,
)
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import Quantizer

from core.errors import BadInput
from core.model import VideoClassifier
from mobile_export.graph import forms

SIDE_BY_SIDE = 8  # streams of a graph that calibrates
# Gives the state that was learned for a prepared stream graph, which it is shown.
Learned = Callable[[GraphModule], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Scheme:
    """How a target quantizes: a maker of its quantizer, and what is left to do once converted."""

    target: str
    quantizer: Callable[[], Quantizer]
    finish: Callable[[GraphModule], None]


def quantize(
    model: VideoClassifier,
    form: str,
    scheme: Scheme,
    clips: Sequence[Tensor],
    learned: Learned | None = None,
) -> GraphModule:
    """The quantized reference graph of one form at batch 1.

    ``model`` is as the target runs it (``forms.deployed``). ``clips``, normalised, each
    ``(T, 3, S, S)``, calibrate it. What was ``learned`` brings
    weights and their ranges, and for the stream form all others too: then no clips are needed.
    Raises ``BadInput`` for clips that are missing or do not fit.
    """
    prepared = prepare(model, form, scheme)
    if learned is None:
        calibrate(prepared, model, form, clips, scheme)
    elif form == "stream":
        load_learned(prepared, learned(prepared))
    else:
        stream = prepare(model, "stream", scheme)
        state = learned(stream)
        load_learned(stream, state)
        parameters = dict(prepared.named_parameters())
        prepared.load_state_dict({k: state[k] for k in parameters}, strict=False)
        calibrate(prepared, model, form, clips, scheme)
        ranges = weight_quantizers(stream)
        for name, quantizer in weight_quantizers(prepared).items():
            quantizer.load_state_dict(ranges[name].state_dict())
    return convert(prepared, scheme)


def prepare(model: VideoClassifier, form: str, scheme: Scheme, batch: int = 1) -> GraphModule:
    """The graph with its fake quantizers, which neither observe nor round yet."""
    prepared = prepare_pt2e(forms.exported(model, form, scheme.target, batch), scheme.quantizer())
    prepared.apply(disable_observer)
    prepared.apply(disable_fake_quant)
    return prepared


def load_learned(prepared: GraphModule, state: Mapping[str, Tensor]) -> None:
    """Give a prepared graph the weights and ranges of another one of the same model and form.

    The batch may differ: nothing observes afterwards, so both round alike.
    """
    prepared.load_state_dict(state)
    prepared.apply(disable_observer)
    prepared.apply(enable_fake_quant)


def weight_quantizers(prepared: GraphModule) -> dict[str, nn.Module]:
    """The fake quantizer of every weight that has one, by the weight's name."""
    found = {}
    for node in prepared.graph.nodes:
        for user in node.users if node.op == "get_attr" else ():
            if user.op == "call_module":
                found[node.target] = prepared.get_submodule(user.target)
    return found


def convert(prepared: GraphModule, scheme: Scheme) -> GraphModule:
    """The graph of quantize and dequantize operators that a delegate takes."""
    converted = convert_pt2e(prepared)
    scheme.finish(converted)
    left = [n.name for n in converted.graph.nodes if "batch_norm" in str(n.target)]
    if left:
        raise AssertionError(f"batch norm left in the quantized graph: {', '.join(left)}")
    return move_exported_model_to_eval(converted)


def calibrate(
    prepared: GraphModule,
    model: VideoClassifier,
    form: str,
    clips: Sequence[Tensor],
    scheme: Scheme,
) -> None:
    """Show ``clips`` to the observers of a prepared graph.

    The stream form is fed frame by frame from the zero state, so that the observers see the states
    of a running stream; the clip form whole clips, cut to ``config.frames``. Many clips are
    streamed side by side by a graph of that batch, whose ranges are those of one stream after the
    other and come in a sixth of the time.
    """
    config = model.config
    if not clips:
        raise BadInput("no calibration clips: int8 needs some, pass --data or another precision")
    for clip in clips:
        _check_clip(clip, config.size, config.frames if form == "clip" else 1)
    many = form == "stream" and len(clips) >= 2 * SIDE_BY_SIDE
    graph = prepare(model, form, scheme, SIDE_BY_SIDE) if many else prepared
    graph.apply(disable_fake_quant)  # float activations, not those of a half-calibrated graph
    graph.apply(enable_observer)
    with torch.no_grad():
        if form == "clip":
            for clip in clips:
                graph(clip[: config.frames])
        else:
            for batch in side_by_side(clips) if many else (clip[None] for clip in clips):
                _stream(graph, model, batch)
    if many:
        prepared.load_state_dict(graph.state_dict())
    prepared.apply(disable_observer)
    prepared.apply(enable_fake_quant)


def _stream(prepared: GraphModule, model: VideoClassifier, clips: Tensor) -> None:
    """Clips (N, T, 3, S, S) from the zero state."""
    state = model.initial_state(len(clips))
    for frame in clips.unbind(1):
        _, *state = prepared(frame, *state)


def side_by_side(clips: Sequence[Tensor]) -> Iterator[Tensor]:
    """Batches (SIDE_BY_SIDE, T, 3, S, S) of clips of one length; the last are filled up with one.

    A clip that is seen twice changes no smallest and no largest value.
    """
    for frames in sorted({len(clip) for clip in clips}):
        alike = [clip for clip in clips if len(clip) == frames]
        for first in range(0, len(alike), SIDE_BY_SIDE):
            batch = alike[first : first + SIDE_BY_SIDE]
            yield torch.stack(batch + [batch[-1]] * (SIDE_BY_SIDE - len(batch)))


def _check_clip(clip: Tensor, size: int, least: int) -> None:
    if clip.ndim != 4 or tuple(clip.shape[1:]) != (3, size, size) or clip.shape[0] < least:
        raise BadInput(
            f"calibration clip of shape {tuple(clip.shape)}: the model takes (T, 3, {size}, {size})"
            f" with at least {least} frames; resize or choose other clips"
        )
