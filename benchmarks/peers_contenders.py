"""What ``peers.py`` compares, and the order in which it visits them; light, no framework imported.

A *contender* is one model in one form and precision on one runtime with a number of threads. The
*probes* are visited among them: matrix products by XNNPACK and copies of memory, which say how fast
this machine was during the same minutes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.errors import BadInput

MODELS = ("tsn", "tsm", "action")  # on the backbone of the model in the package
FORMS = ("stream", "clip")
COPIED = 2**28  # bytes, of the probe of memory: more than caches hold

# runtime, form and precision, in the order of the table
SETTINGS = (
    ("executorch", "stream", "int8"),
    ("executorch", "stream", "fp32"),
    ("onnxruntime", "stream", "int8"),
    ("onnxruntime", "stream", "fp32"),
    ("compile", "stream", "fp32"),
    ("eager", "stream", "fp32"),
    ("executorch", "clip", "int8"),
    ("executorch", "clip", "fp32"),
    ("onnxruntime", "clip", "fp32"),
    ("compile", "clip", "fp32"),
    ("eager", "clip", "fp32"),
    ("naive", "clip", "fp32"),
    ("naive-executorch", "clip", "fp32"),
)
RUNTIMES = tuple(dict.fromkeys(runtime for runtime, _, _ in SETTINGS))
NATIVE = ("executorch", "naive-executorch")  # what the runner in C++ executes
PACKAGES = {"executorch": "executorch", "naive-executorch": "executorch"} | {
    "onnxruntime": "onnxruntime",
    "compile": "torch",
    "eager": "torch",
    "naive": "torch",
}
Visited = TypeVar("Visited")


@dataclass(frozen=True)
class Contender:
    """See the module's docstring; ``model`` is ``products`` or ``copy`` for a probe."""

    model: str
    form: str
    precision: str
    runtime: str
    threads: int

    @property
    def name(self) -> str:
        """What ``--only`` is matched with."""
        return f"{self.artifact_name}-{self.threads}t"

    @property
    def artifact_name(self) -> str:
        """The same for contenders that run one artifact."""
        return f"{self.model}-{self.form}-{self.precision}-{self.runtime}"

    @property
    def is_probe(self) -> bool:
        return self.model not in MODELS

    @property
    def key(self) -> dict:
        """The fields that tell its row from the others."""
        return {
            "model": self.model,
            "form": self.form,
            "precision": self.precision,
            "runtime": self.runtime,
            "threads": self.threads,
        }


def products(precision: str, threads: int) -> Contender:
    """The probe of matrix products, multiply-adds a second."""
    return Contender("products", "probe", precision, "executorch", threads)


def copy(threads: int) -> Contender:
    """The probe of memory, bytes a second."""
    return Contender("copy", "probe", "bytes", "numpy", threads)


def plan(threads: Sequence[int], only: str | None) -> list[Contender]:
    """All contenders whose name has a match of the regular expression ``only``, then their probes.

    Models that are compared with each other stand side by side. Raises ``BadInput`` for a pattern
    that is none or that matches nothing.
    """
    every = [
        Contender(model, form, precision, runtime, count)
        for count in threads
        for runtime, form, precision in SETTINGS
        for model in MODELS
        # Without a temporal module the formulas are those of the model itself.
        if (model, runtime) != ("tsn", "naive-executorch")
    ]
    try:
        chosen = [c for c in every if re.search(only or "", c.name)]
    except re.error as error:
        raise BadInput(f"--only {only!r} is no regular expression ({error}): correct it") from None
    if not chosen:
        raise BadInput(f"--only {only!r} matches none of {every[0].name} ... {every[-1].name}")
    bounded = [c for c in chosen if c.runtime == "executorch"]
    speeds = [products(c.precision, c.threads) for c in bounded]
    copies = [copy(c.threads) for c in bounded]
    return chosen + list(dict.fromkeys(speeds + copies))


def visits(contenders: Sequence[Visited], rounds: int) -> Iterator[tuple[int, Visited]]:
    """The round and one of ``contenders``: each once a round, which begins further on in the list.

    After all rounds every contender has been early, late and between, so that a machine that slows
    down for a while slows down no one in particular.
    """
    count = len(contenders)
    for turn in range(rounds):
        start = turn * count // rounds
        yield from ((turn, contenders[(start + i) % count]) for i in range(count))
