"""Lowering, one module a target: ``coreml``, ``xnnpack`` and ``vulkan``.

Each module has one public function,

    lower(model, form, precision, calibration, out, *, labels, learned=None, allow_partial=False)

with ``model`` a ``VideoClassifier`` in evaluation mode, ``form`` one of ``stream`` and ``clip``,
``precision`` one of ``int8``, ``fp16`` and ``fp32``, ``calibration`` a list of normalised clips
``(T, 3, S, S)`` (used by int8 alone), and ``out`` the folder that receives the artifact.
``learned`` gives what quantization-aware training learned: see ``quantization.pt2e``.
It returns a ``Lowered``.
"""

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from mobile_export.errors import LoweringError

__all__ = ["Lowered", "LoweringError"]


@dataclass
class Lowered:
    """What lowering made.

    ``converted`` is the graph that was handed to the delegate, which runs eagerly: the artifact's
    parity partner. ``details`` goes into the manifest as it is (delegate calls, operators,
    quantization recipe, deployment target).
    """

    artifact: Path
    converted: nn.Module
    details: dict = field(default_factory=dict)
