"""Running a Core ML package: Core ML itself on macOS, the reference interpreter elsewhere."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mobile_export.graph.forms import Port
from mobile_export.runtime import Runner
from mobile_export.runtime.mil import MilProgram


def open_coreml(
    artifact: Path,
    inputs: list[Port],
    outputs: list[Port],
    mean: Sequence[float],
    std: Sequence[float],
) -> Runner:
    """A runner that takes normalised frames, as every other target does.

    ``inputs`` and ``outputs`` are ``forms.input_ports`` and ``output_ports`` of the model, ``mean``
    and ``std`` its normalisation of ``pixel / 255``. Raises ``BadInput`` for an unusable package.
    """
    kind = _OnMac if sys.platform == "darwin" else _Interpreted
    return kind(Path(artifact), inputs, outputs, _Pixels(mean, std))


class _Pixels:
    """Normalised frames (N, 3, H, W) back to the whole pixel values that an image holds."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = (torch.tensor(v).view(1, 3, 1, 1) for v in (mean, std))

    def __call__(self, frame: Tensor) -> Tensor:
        return ((frame * self.std + self.mean) * 255).round().clamp(0, 255)


class _Interpreted:
    """See ``runtime.Runner``; the clip form is one clip a call, the stream form any batch."""

    name = "reference interpreter of ML Programs (our reading of MIL), not Core ML"
    interpreted = True

    def __init__(
        self, artifact: Path, inputs: list[Port], outputs: list[Port], pixels: _Pixels
    ) -> None:
        self.program = MilProgram(artifact)
        self.inputs, self.outputs, self.pixels = inputs, outputs, pixels
        self.images = {port.name for port in self.program.inputs if port.image}
        self.batch = None if self.program.batchable else inputs[0].shape[0]

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        named = {
            port.name: self.pixels(value) if port.name in self.images else value
            for port, value in zip(self.inputs, inputs, strict=True)
        }
        results = self.program(named)
        return [results[port.name] for port in self.outputs]


class _OnMac:
    """Core ML's own prediction, one frame at a time; needs macOS and is not exercised on Linux."""

    name = "Core ML on macOS"
    interpreted = False

    def __init__(
        self, artifact: Path, inputs: list[Port], outputs: list[Port], pixels: _Pixels
    ) -> None:
        import coremltools as ct

        self.model = ct.models.MLModel(str(artifact))
        described = self.model.get_spec().description.input
        self.images = {i.name for i in described if i.type.HasField("imageType")}
        self.inputs, self.outputs, self.pixels = inputs, outputs, pixels
        self.batch = inputs[0].shape[0]

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        from PIL import Image

        named: dict[str, object] = {}
        for port, value in zip(self.inputs, inputs, strict=True):
            if port.name in self.images:
                pixels = self.pixels(value)[0].permute(1, 2, 0).to(torch.uint8)
                named[port.name] = Image.fromarray(pixels.numpy(), "RGB")
            else:
                named[port.name] = value.numpy().astype(np.float32)
        results = self.model.predict(named)
        return [torch.from_numpy(np.asarray(results[p.name], np.float32)) for p in self.outputs]
