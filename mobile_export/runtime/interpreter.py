"""What the reference interpreters share: a program as steps on named values, run in order on torch.

``mil`` reads Core ML's ML Programs into it, ``vulkan`` the graphs of ExecuTorch's Vulkan delegate;
a ``Dialect`` is what differs. Both show what an artifact computes under our reading of it, not the
arithmetic or the placement of a device: products are summed in float32 and every result that the
program declares as half precision is rounded to it.

Steps of which everything is known (weights to be dequantized, transposed, ...) are computed once,
when the program is loaded. A program whose inputs all have a leading 1 takes any batch there,
unless a step works along that axis: the frames of many clips then share one pass.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.errors import BadInput

HALF = "FLOAT16"  # the name of half precision in both formats


@dataclass(frozen=True)
class Value:
    """An input or a result; an image input takes pixels 0..255, RGB, (1, 3, H, W)."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # FLOAT16, FLOAT32 ...
    image: bool = False


@dataclass
class Step:
    """One operation: parameters that are known, names of those that are not, its result."""

    kind: str
    known: dict
    names: dict[str, str | list[str]]
    output: Value
    free: list[str] = field(default_factory=list)  # values that nothing needs after this step

    def reads(self) -> list[str]:
        """Names of the values that it needs."""
        return [n for v in self.names.values() for n in (v if isinstance(v, list) else [v])]


@dataclass(frozen=True)
class Dialect:
    """One format's operations, and what they do to a leading axis of 1."""

    ops: Mapping[str, Callable[..., Tensor]]
    exact: Container[str]  # results are among the inputs' values, or rounded already
    keeps_batch: Callable[[Step, Mapping[str, Value]], bool]  # each entry is mapped to itself
    free_leading_axis: Callable[[Step], None]  # literals that name the 1 follow what comes in


class Program:
    """``program({input name: tensor}) -> {output name: tensor}``.

    ``inputs`` and ``outputs`` list the ports, ``batchable`` says whether the leading axis takes any
    size. A subclass adds constants, inputs and steps in order and calls ``close``.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.batchable = False
        self._dialect = dialect
        self._steps: list[Step] = []
        self._constants: dict[str, object] = {}
        self._ports: dict[str, Value] = {}

    def _take(self, port: Value) -> None:
        self.inputs.append(port)
        self._ports[port.name] = port

    def _add(self, step: Step) -> None:
        """Keep a step, or compute it when everything that it needs is known."""
        self._ports[step.output.name] = step.output
        if any(name not in self._constants for name in step.reads()):
            self._steps.append(step)
        else:
            self._constants[step.output.name] = self._run(step, self._constants)

    def _close(self, outputs: list[str]) -> None:
        self.outputs = [self._ports[name] for name in outputs]
        self.batchable = all(port.shape[:1] == (1,) for port in self.inputs) and all(
            self._dialect.keeps_batch(step, self._ports) for step in self._steps
        )
        if self.batchable:
            for step in self._steps:
                self._dialect.free_leading_axis(step)
        self._plan_frees()

    def _plan_frees(self) -> None:
        """Let every step drop the values that it is the last to use, and its own if unused."""
        needed = {port.name for port in self.outputs}
        used = needed | {name for step in self._steps for name in step.reads()}
        for step in reversed(self._steps):
            last = {n for n in [*step.reads(), step.output.name] if n not in needed}
            step.free = sorted(last)
            needed |= last
        self._constants = {n: c for n, c in self._constants.items() if n in used}

    def __call__(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run once; tensors have the declared shapes, the leading 1 being free if batchable.

        Raises ``BadInput`` for a missing input or a wrong shape.
        """
        values: dict[str, object] = {port.name: self._checked(port, inputs) for port in self.inputs}
        if self.batchable and len({inputs[port.name].shape[0] for port in self.inputs}) > 1:
            raise BadInput("the inputs have different batch sizes: give every input the same one")
        values |= self._constants
        with torch.no_grad():
            for step in self._steps:
                values[step.output.name] = self._run(step, values)
                for name in step.free:
                    del values[name]
        return {port.name: values[port.name] for port in self.outputs}  # type: ignore[misc]  # tensors all

    def _run(self, step: Step, values: Mapping[str, object]) -> Tensor:
        """Compute in float32, rounded to half precision where the program declares that."""
        given = {
            key: [values[n] for n in name] if isinstance(name, list) else values[name]
            for key, name in step.names.items()
        }
        result = self._dialect.ops[step.kind](**step.known, **given)
        if step.output.dtype == HALF and step.kind not in self._dialect.exact:
            return result.half().float()
        return result

    def _checked(self, port: Value, inputs: Mapping[str, Tensor]) -> Tensor:
        if port.name not in inputs:
            names = ", ".join(port.name for port in self.inputs)
            raise BadInput(f"input {port.name} is missing: the program takes {names}")
        value = inputs[port.name].float()
        skip = int(self.batchable)
        if value.ndim != len(port.shape) or tuple(value.shape[skip:]) != port.shape[skip:]:
            raise BadInput(
                f"input {port.name} has shape {tuple(value.shape)}, the program takes {port.shape}"
                + (" with any batch" if self.batchable else "")
            )
        return value.half().float() if port.dtype == HALF else value
