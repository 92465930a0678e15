"""Running ExecuTorch programs with the wheel's runtime.

The wheel registers XNNPACK, not Vulkan: ``runtime.vulkan`` computes a Vulkan program.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from core.errors import BadInput
from mobile_export.graph.forms import Port
from mobile_export.runtime.light import runtime

IDENTIFIER = b"ET12"  # the flatbuffer identifier of an ExecuTorch program, at byte 4
START = 8  # bytes up to the identifier's end
FLOAT = 6  # ExecuTorch's number for 32-bit floats (c10's ScalarType)


class Executorch:
    """Runner of a ``.pte``: compiled for one batch; outputs are copies that the caller owns."""

    interpreted = False
    batch = 1

    def __init__(self, artifact: Path, inputs: Sequence[Port]) -> None:
        library = runtime()
        read_program(artifact, START)  # all of it is the runtime's to read, and to be timed
        try:
            self._program = library.Runtime.get().load_program(
                artifact, verification=library.Verification.InternalConsistency
            )
            self._method = self._program.load_method("forward")
        except (RuntimeError, KeyError) as error:
            raise BadInput(unusable(artifact, _first_line(error))) from error
        self._artifact = artifact
        meta = self._method.metadata
        shapes = [tuple(meta.input_tensor_meta(i).sizes()) for i in range(meta.num_inputs())]
        if shapes != [port.shape for port in inputs]:
            raise BadInput(unusable(artifact, "its inputs have other shapes than the bundle's"))
        self._inputs = inputs
        self.name = f"ExecuTorch runtime on {artifact.name}"

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """One call. Raises ``BadInput`` for inputs that the program was not compiled for, and for a
        program that loads and does not run.
        """
        check_inputs(inputs, [port.shape for port in self._inputs])
        return self.execute(inputs)

    def execute(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """One call on inputs that need no check: a frame of our own making, the state given back.

        Looking through thirty states for NaN takes a tenth of the time of a frame.
        """
        # The runtime reads memory as the program declares it, whatever the tensor's strides.
        ordered = [p.ordered(tensor) for p, tensor in zip(self._inputs, inputs, strict=True)]
        try:
            outputs = self._method.execute(ordered)
        except RuntimeError as error:
            raise BadInput(unusable(self._artifact, _first_line(error))) from error
        return list(outputs)  # copies: the binding clones them


def open_pte(artifact: Path, inputs: Sequence[Port]) -> Executorch:
    """Load a program whose backends are in the wheel; ``inputs`` are the bundle's ports.

    Raises ``BadInput`` when it cannot.
    """
    return Executorch(artifact, inputs)


def check_inputs(inputs: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse, before native code sees them, inputs of another number, shape, type or with NaN."""
    if len(inputs) != len(shapes):
        raise BadInput(
            f"{len(inputs)} inputs: the program takes {len(shapes)}; give the frame and every state"
        )
    for i, tensor in enumerate(inputs):
        if tensor.dtype != torch.float32:
            raise BadInput(f"input {i} of type {tensor.dtype}: pass 32-bit floats, normalised")
        if tuple(tensor.shape) != shapes[i]:
            raise BadInput(
                f"input {i} of shape {tuple(tensor.shape)}: the program takes {shapes[i]}; resize "
                "or reorder the inputs"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise BadInput(f"input {i} holds NaN or infinity: check the decoding of the frame")


def read_program(artifact: Path, size: int = -1) -> bytes:
    """The bytes of a ``.pte``, or the first ``size``; ``BadInput`` for a file that is missing or
    begins otherwise.
    """
    try:
        with artifact.open("rb") as file:
            data = file.read(size)
    except OSError as error:
        raise BadInput(f"{artifact}: {error.strerror}; give the path of a .pte") from error
    if data[4:8] != IDENTIFIER:
        raise BadInput(unusable(artifact, "no ExecuTorch program"))
    return data


def unusable(artifact: Path, reason: str) -> str:
    """The line about a file that is there and of no use."""
    return f"{artifact}: {reason}; the file is damaged or of another version, export it again"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
