"""Running an exported artifact on this machine.

A *runner* is what ``verify`` drives, whatever the target: ``runner(inputs)`` maps the flat list of
input tensors (order of ``forms.input_ports``) to the list of outputs. ``runner.batch`` is the
leading axis that it takes: 1 for a compiled program, None for an interpreter that takes any.
``runner.name`` says in words what computed the figures; ``runner.interpreted`` is True when that
was not the target's own runtime but a reference interpreter, our reading of the artifact.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Runner(Protocol):
    """See the module's docstring."""

    @property
    def name(self) -> str: ...
    @property
    def interpreted(self) -> bool: ...
    @property
    def batch(self) -> int | None: ...

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """One call of the graph."""
        ...
