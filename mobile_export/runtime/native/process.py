"""The native runner as a ``runtime.Runner``: a process that answers calls over its streams."""

import contextlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.errors import BadInput
from mobile_export.graph.forms import Port
from mobile_export.runtime.executorch import check_inputs

PATIENCE = 5.0  # seconds that a process has for ending after the end of its input


class Native:
    """Runs one program in a process of its own; ``close`` or a ``with`` block ends it.

    ``command`` is ``build.host_command()``, ``build.arm64_command(core)``, or a program of the
    user's, which takes no ``options``; ``inputs`` and ``outputs`` are the bundle's ports. Raises
    ``BadInput`` when it cannot be started.
    """

    interpreted = False
    batch = 1

    def __init__(
        self,
        command: list[str],
        artifact: Path,
        inputs: list[Port],
        outputs: list[Port],
        name: str,
        options: Sequence[str] = ("--threads", "1"),
    ) -> None:
        self.name = name
        self.inputs, self.outputs = inputs, outputs
        self._artifact = artifact
        # A file: nobody empties a pipe, and a full one would stop the process.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # until ``close``
        try:
            self._process = subprocess.Popen(
                [*command, str(artifact), "serve", *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        except OSError as error:
            self._errors.close()
            raise BadInput(f"{command[0]} cannot be started ({error.strerror})") from None
        self._own = bool(options)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """One call. Raises ``BadInput`` for inputs of other shapes and when the process ends."""
        check_inputs(inputs, [port.shape for port in self.inputs])
        ordered = (x.permute(p.dim_order) for x, p in zip(inputs, self.inputs, strict=True))
        call = b"".join(x.contiguous().numpy().tobytes() for x in ordered)
        with contextlib.suppress(BrokenPipeError):  # then the answer is missing as well
            self._to.write(call)
            self._to.flush()
        return [self._answer(port) for port in self.outputs]

    def _answer(self, port: Port) -> Tensor:
        size = 4 * int(np.prod(port.shape))
        data = self._from.read(size)
        if len(data) < size:
            status = self._end()
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
            line = lines[-1] if lines else f"exit status {status}"
            if not self._own:
                raise BadInput(
                    f"{self.name}, stopped ({line}): see docs/bundle.md for what it reads"
                )
            raise BadInput(f"{self._artifact}: the native runner stopped ({line}); export it again")
        values = np.frombuffer(data, "<f4").reshape([port.shape[axis] for axis in port.dim_order])
        return torch.from_numpy(values.transpose(np.argsort(port.dim_order)).copy())

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self._to.close()
        self._end()
        self._from.close()
        self._errors.close()

    def _end(self) -> int:
        """Wait for a process that has been told to end; one that does not listen is killed."""
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __enter__(self) -> "Native":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
