"""Quantization-aware training: a short fine-tuning of the very graph that is deployed.

The stream graph is prepared with its fake quantizers for a batch of streams, calibrated, and
unrolled over whole clips. Ranges stay as calibrated; weights and biases learn to give the
checkpoint's own logits in spite of rounding (the Kullback-Leibler divergence between the two
softmaxes, frame by frame), so no labels are needed and what was learned in training is kept.
Batch norm is folded before, dropout there is none. What was learned, the state of the prepared
graph, goes into the same graph prepared for one stream, which is converted.

``docs/quantization.md`` has the figures behind the constants.
"""

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import GraphModule
from torch.optim.lr_scheduler import CosineAnnealingLR
from torchao.quantization.pt2e import disable_observer, enable_fake_quant

from core.checkpoint import Checkpoint
from core.data.clips import Clips, loader
from core.data.transforms import normalise
from core.errors import BadInput
from core.files import write_bytes
from core.labels import IGNORE
from mobile_export.console import progress
from mobile_export.graph import forms
from mobile_export.quantization.pt2e import Scheme, calibrate, prepare

BATCH = 4  # streams side by side
STEPS = 80
# Adam's, which moves every weight by about this much a step whatever its gradient. At ten times
# more the answers were further from the checkpoint's after 200 steps than before the first.
RATE = 3e-6
TEMPERATURE = 2.0  # of both softmaxes: the lesser classes' logits count as well
CLIP_NORM = 1.0
KEEP_EVERY = 20  # steps between two saved states


@dataclass(frozen=True)
class Settings:
    """What a run of training depends on, beside the code; a saved state of another is not taken."""

    checkpoint: str  # SHA-256
    family: str  # of targets: see ``quantization.learned``
    data: str
    calibration_clips: int
    steps: int = STEPS
    rate: float = RATE
    clips: str = ""  # their ``fingerprint``: a folder's name says nothing of what is in it
    graph: str = ""  # digest of the prepared graph: ranges belong to one


def learn(
    checkpoint: Checkpoint,
    scheme: Scheme,
    settings: Settings,
    calibration: list[Tensor],
    clips: Clips,
    saved: Path,
) -> dict[str, Tensor]:
    """Train, with a progress bar, and return the state of the prepared stream graph.

    ``calibration`` holds normalised clips, ``clips`` gives uint8 (T, 3, S, S) with a label. The
    state is kept in ``saved`` every ``KEEP_EVERY`` steps and taken up from there. Raises
    ``BadInput`` for a damaged state and for a loss that is not finite.
    """
    config = checkpoint.config
    model = forms.deployed(checkpoint.model, scheme.target)
    student = prepare(model, "stream", scheme, BATCH)
    teacher = checkpoint.model.eval().requires_grad_(False)
    parameters = [p for p in student.parameters() if p.is_floating_point()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, settings.rate)
    schedule = CosineAnnealingLR(optimizer, max(1, settings.steps))
    done = _resume(saved, settings, student, optimizer, schedule)
    if done == 0:
        _calibrate(student, model, scheme, calibration)
    student.apply(disable_observer)
    student.apply(enable_fake_quant)
    batches = _batches(clips, done * BATCH)
    with progress(settings.steps, "step", initial=done) as bar:
        for index in range(done, settings.steps):
            frames = normalise(next(batches), config.mean, config.std)
            loss = _step(student, teacher, model, frames)
            if not torch.isfinite(loss):
                raise BadInput(f"the loss is {loss.item()} at step {index}: lower --qat-lr")
            torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            bar.set_postfix(loss=f"{loss.item():.4f}")
            bar.update()
            if (index + 1) % KEEP_EVERY == 0:
                _keep(saved, settings, index + 1, student, optimizer, schedule)
    return {key: value.detach().clone() for key, value in student.state_dict().items()}


def _calibrate(
    student: GraphModule, model: torch.nn.Module, scheme: Scheme, clips: list[Tensor]
) -> None:
    """By the graph of one stream, whose ranges are those of any batch."""
    single = prepare(model, "stream", scheme)
    calibrate(single, model, "stream", clips, scheme)
    student.load_state_dict(single.state_dict())


def _batches(clips: Clips, skip: int) -> Iterator[Tensor]:
    """Frames (BATCH, T, 3, S, S) without end, in the order of the data set from ``skip`` on."""
    order = _Endless(len(clips), skip)
    held: list[Tensor] = []
    # A worker renders or decodes ahead.
    for pixels, labels in loader(clips, 1, batch_size=BATCH, sampler=order):
        held += list(pixels[labels != IGNORE])
        while len(held) >= BATCH:
            yield torch.stack(held[:BATCH])
            held = held[BATCH:]


class _Endless(torch.utils.data.Sampler):
    def __init__(self, count: int, first: int) -> None:
        self.count, self.first = count, first

    def __iter__(self) -> Iterator[int]:
        index = self.first
        while True:
            yield index % self.count
            index += 1


def _step(
    student: GraphModule, teacher: torch.nn.Module, model: torch.nn.Module, frames: Tensor
) -> Tensor:
    """Divergence of the student from the teacher over ``frames`` (N, T, 3, S, S), propagated."""
    with torch.no_grad():
        wanted = F.log_softmax(teacher.frame_logits(frames) / TEMPERATURE, -1)
    state, logits = model.initial_state(len(frames)), []
    for frame in frames.unbind(1):
        answer, *state = student(frame, *state)
        logits.append(answer)
    given = F.log_softmax(torch.stack(logits, 1) / TEMPERATURE, -1)
    loss = F.kl_div(
        given.flatten(0, 1), wanted.flatten(0, 1), reduction="batchmean", log_target=True
    )
    loss.backward()
    return loss.detach()


def _keep(saved: Path, settings: Settings, step: int, student, optimizer, schedule) -> None:
    state = {
        "settings": asdict(settings),
        "step": step,
        "student": student.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
    }
    content = io.BytesIO()
    torch.save(state, content)
    write_bytes(saved, content.getvalue())


def _resume(saved: Path, settings: Settings, student, optimizer, schedule) -> int:
    """Steps done according to ``saved``; 0 without one or with one of other settings."""
    if not saved.exists():
        return 0
    try:
        state = torch.load(saved, weights_only=True)
        if state["settings"] != asdict(settings):
            return 0
        student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        return int(state["step"])
    except Exception as error:  # half a file and flipped bits end in a dozen kinds of errors
        line = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise BadInput(f"{saved} is damaged ({line}): remove it to start over") from None
