"""Running an exported artifact on this machine.

A *runner* is what ``verify`` drives, whatever the target: ``runner(inputs)`` maps the flat list of
input tensors (order of ``forms.input_ports``) to the list of outputs. ``runner.batch`` is the
leading axis that it takes: 1 for a compiled program, None for an interpreter that takes any.
``runner.name`` says in words what computed the figures; ``runner.proxy`` is True when that is not
the artifact itself but the graph it was lowered from.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Runner(Protocol):
    """See the module's docstring."""

    @property
    def name(self) -> str: ...
    @property
    def proxy(self) -> bool: ...
    @property
    def batch(self) -> int | None: ...

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """One call of the graph."""
        ...
