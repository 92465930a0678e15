"""A model of this project from another program's state dict.

Nothing is dropped silently: every key has to be known, every tensor of the model has to come from
the file in its shape, and a tensor that is there twice has to be the same twice.
"""

from dataclasses import replace

import torch
from torch import Tensor

from core.errors import BadInput
from core.importers import mmaction, movenet, names
from core.importers.fold import shifts_whole_blocks, within
from core.importers.kinds import WRAPPED, Kind, no_choice, recognise
from core.model import ModelConfig, VideoClassifier
from core.shift import SHIFT_DIVISOR, LearnedShift, TemporalShift, pure_taps

FRAMES = 8  # segments of a clip in TSM's and ACTION-Net's published models
LISTED = 20  # keys that an error names
COUNTER = "num_batches_tracked"  # torch before 0.4.1 wrote none, and nothing here reads it


def imported(
    tensors: dict[str, Tensor],
    temporal: str | None = None,
    frames: int = FRAMES,
    fold: int = SHIFT_DIVISOR,
) -> tuple[VideoClassifier, Kind]:
    """The model, in evaluation mode, and what the state dict was recognised as.

    ``fold`` is of a shift without weights. Raises ``BadInput`` listing keys that are missing,
    unexpected or of another shape.
    """
    if movenet.is_movenet(tensors):
        no_choice(temporal, movenet.NAME)
        model, kind = movenet.imported(tensors, frames)
        _refuse_broken(tensors)
        return model, kind
    whole = shifts_whole_blocks(tensors)
    if whole:
        tensors = {within(key): value for key, value in tensors.items()}
    of_mmaction = mmaction.is_mmaction(tensors)
    if of_mmaction:
        tensors = mmaction.as_tsm(tensors)
    kind = recognise(tensors, temporal)
    if of_mmaction:
        kind = replace(kind, name=f"mmaction2 {kind.name}")
    if whole:
        kind = replace(kind, temporal="shift", name=kind.name.replace("TSN", "TSM"))
    found, unexpected = _translated(tensors, kind)
    learned = any(f".{names.SHIFT_TAPS}" in key for key in found)
    weight = found.get("classifier.weight")
    if weight is None or weight.ndim != 2:
        raise BadInput(f"{kind.classifier}.weight is no matrix: it is not a classifier's")
    try:
        config = ModelConfig(
            backbone=kind.backbone, temporal=kind.temporal, causal=kind.causal,
            num_classes=len(weight), frames=frames, mean=kind.mean, std=kind.std,
            shift="learned" if learned else "fixed",
            fold=fold if kind.temporal == "shift" else SHIFT_DIVISOR,
            location=0 if whole else 1,
        )  # fmt: skip
    except ValueError as error:
        raise BadInput(str(error)) from None
    model = VideoClassifier(config)
    if not all(shift.fold for shift in model.modules() if isinstance(shift, TemporalShift)):
        raise BadInput(f"a shift of 1/{fold} of the channels leaves layers without any: lower it")
    wanted = model.state_dict()
    for key, value in wanted.items():
        if key.endswith(COUNTER):
            found.setdefault(key, torch.zeros_like(value))
    missing = [key for key in wanted if key not in found]
    unexpected += [key for key in found if key not in wanted]
    shapes = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    _refuse(kind, missing, unexpected, shapes)
    _refuse_broken(found)
    if kind.bgr255:  # this project feeds RGB
        stem = next(key for key in wanted if wanted[key].ndim == 4)
        found[stem] = found[stem].flip(1)
    model.load_state_dict(found)
    return _untaught(model.eval()), kind


def _translated(tensors: dict[str, Tensor], kind: Kind) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by this project's names, and the keys that have none."""
    translate = names.TRANSLATE.get(kind.name) or names.TRANSLATE[kind.backbone]
    found: dict[str, Tensor] = {}
    unexpected = []
    for key, tensor in tensors.items():
        head, _, leaf = key.rpartition(".")
        if head == kind.classifier and leaf in ("weight", "bias"):
            found[f"classifier.{leaf}"] = tensor
            continue
        bare = key.removeprefix(WRAPPED)
        twin = names.duplicate(bare) if kind.backbone == "bn_inception" else None
        if twin is not None:
            twin = key.removesuffix(bare) + twin
            if twin not in tensors or not torch.equal(tensors[twin], tensor):
                raise BadInput(f"{key} and {twin} are one tensor in that program and differ here")
            continue
        name = translate(bare)
        place, is_action, part = (name or "").partition(".temporal.")
        if name is None:
            unexpected.append(key)
        elif not is_action:
            found[f"backbone.{name}"] = tensor
        else:
            parts = names.action(part, tensor)
            if not parts:
                unexpected.append(key)
            found |= {f"backbone.{place}.temporal.{k}": v.contiguous() for k, v in parts.items()}
    return found, unexpected


def _refuse(kind: Kind, missing: list[str], unexpected: list[str], shapes: list[str]) -> None:
    told = [
        f"{len(keys)} {what}: {', '.join(keys[:LISTED])}"
        + (f" and {len(keys) - LISTED} more" if len(keys) > LISTED else "")
        for keys, what in (
            (missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape"),
        )
        if keys
    ]  # fmt: skip
    if told:
        raise BadInput(f"not a whole {kind.name}: {'; '.join(told)}")


def _refuse_broken(tensors: dict[str, Tensor]) -> None:
    broken = [key for key, value in tensors.items() if not bool(value.float().isfinite().all())]
    if broken:
        raise BadInput(f"{broken[0]} and {len(broken) - 1} others hold NaN or infinity")


def _untaught(model: VideoClassifier) -> VideoClassifier:
    """The model with a fixed shift where every learned tap is still that of the pure shift."""
    shifts = [module for module in model.modules() if isinstance(module, LearnedShift)]
    pure = all(torch.equal(m.matrix(), pure_taps(m.channels, m.causal)) for m in shifts)
    return with_fixed_shift(model) if shifts and pure else model


def with_fixed_shift(model: VideoClassifier) -> VideoClassifier:
    """The same weights without taps, the shift being the pure one."""
    config = ModelConfig.from_dict(model.config.to_dict() | {"shift": "fixed"})
    fixed = VideoClassifier(config)
    own = fixed.state_dict()
    fixed.load_state_dict({k: v for k, v in model.state_dict().items() if k in own})
    return fixed.eval()
