"""A target that takes seconds less than a real one: it stores the model and runs it eagerly.

The command line, the bundle and the verifier are tested on it; the real targets have tests of
their own and go through the same command line in test_export.py.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from helpers import make_model

from core import checkpoint
from core.classes import ClassMap
from core.data.clips import Clips
from core.data.relabelled import relabelled
from core.errors import BadInput
from core.files import file_sha256
from core.model import VideoClassifier
from mobile_export.graph.forms import apart, deployed, graph_of, headed
from mobile_export.runtime.executorch import check_inputs
from mobile_export.targets import Lowered, LoweringError

Change = Callable[[list[torch.Tensor]], list[torch.Tensor]]
LABELS = ["Doing other things", "No gesture", "Swiping Left", "Swiping Right", "Thumb Up"]


# What regroups the classes, by the artifact's hash: one target's is opened by another's runtime.
HEADS: dict[str, torch.nn.Module | None] = {}


class NoiseClips(Clips):
    """Random pixels whose labels are what a model answers, so that its accuracy is 100 %."""

    def __init__(self, model: VideoClassifier, count: int, seed: int) -> None:
        from core.data.transforms import normalise

        config = model.config
        generator = torch.Generator().manual_seed(seed)
        shape = (count, config.frames, 3, config.size, config.size)
        self.pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        with torch.inference_mode():
            answers = model(normalise(self.pixels, config.mean, config.std)).argmax(1)
        self.answers = answers.tolist()
        self.labels = list(LABELS)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.pixels[index], self.answers[index]


class FakeRunner:
    """Runs a graph; ``change`` is applied to what it gives, ``[logits, *state]``."""

    interpreted, batch = False, 1

    def __init__(self, graph: torch.nn.Module, noise: float, change: Change | None) -> None:
        self.graph, self.noise, self.name = graph, noise, "fake runtime"
        self.change = change or list

    def __call__(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        # ExecuTorch's runner refuses what is not finite.
        assert all(bool(tensor.isfinite().all()) for tensor in inputs)
        logits, *state = self.graph(*inputs)
        return self.change([logits + self.noise * torch.randn_like(logits), *state])


def install(
    monkeypatch,
    *,
    noise: float = 0.0,
    change: Change | None = None,
    refuse: str | BadInput | None = None,
    unloadable: Exception | None = None,
    target: str = "xnnpack",
) -> None:
    """Put a fake in the place of a target's lowering and of ExecuTorch's runtime.

    ``noise`` is added to every logit; ``refuse`` is what lowering raises, or the message of its
    ``LoweringError``; ``unloadable`` is raised when the artifact is opened.
    """

    def lower(
        model, form, precision, calibration, out, *, labels, learned=None, allow_partial=False
    ) -> Lowered:
        if refuse:
            raise refuse if isinstance(refuse, BadInput) else LoweringError(refuse)
        assert bool(calibration) == (precision == "int8")
        assert len(labels) == model.config.num_classes
        base, head = apart(model)
        # Of the labels too, or exports with and without regrouped classes would have one hash.
        names = [f"{i} of {labels}" for i in range(base.config.num_classes)]
        checkpoint.save(out / "model.pte", base, names)
        HEADS[file_sha256(out / "model.pte")] = head
        graph = headed(graph_of(deployed(base, target), form), head)
        return Lowered(out / "model.pte", graph, {"delegate_calls": 1})

    def open_pte(path: Path, _inputs: list) -> FakeRunner:
        if unloadable:
            raise unloadable
        model = deployed(checkpoint.load(path).model, target)
        head = HEADS.get(file_sha256(path))  # another process's artifact has none
        graph = headed(graph_of(model, "stream"), head)
        return FakeRunner(graph, noise, change)

    _module(monkeypatch, f"mobile_export.targets.{target}", lower=lower)
    # The native runner asks of the module what it asks of the real one.
    _module(
        monkeypatch,
        "mobile_export.runtime.executorch",
        open_pte=open_pte,
        check_inputs=check_inputs,
    )


def _module(monkeypatch, name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


def make_checkpoint(folder: Path, labels: list[str] = LABELS, **settings: object) -> Path:
    """A tiny checkpoint file."""
    path = folder / "tiny.safetensors"
    checkpoint.save(path, make_model(num_classes=len(labels), **settings), labels)
    return path


def use_noise_clips(monkeypatch, path: Path, count: int = 6) -> None:
    """Make ``open_clips`` give noise clips that the checkpoint at ``path`` is always right on."""
    import core.data

    model = checkpoint.load(path).model

    most = count

    def open_clips(
        data, split, config, count=None, *, labels=None, classes: ClassMap | None = None, **_options
    ):
        seed = {"train": 1, "test": 2}[split]
        return relabelled(NoiseClips(model, min(count or most, most), seed), classes)

    monkeypatch.setattr(core.data, "open_clips", open_clips)
