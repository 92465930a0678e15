"""An XNNPACK bundle through Arm's kernels: emulated cores beside this machine's own.

Phones run other kernels of XNNPACK than this machine does. The same program is executed by the same
C++ runner here and, compiled for Arm, under emulation, on the same clips. Times mean nothing there.
"""

import contextlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from core.data.clips import Clips
from core.data.transforms import normalise
from core.errors import BadInput
from core.files import finite
from core.labels import IGNORE
from core.markdown import markdown
from mobile_export.bundle.reader import Bundle
from mobile_export.console import progress
from mobile_export.runtime.inference import relative_deviation, run_form
from mobile_export.runtime.native.build import CORES, arm64_command, host_command
from mobile_export.runtime.native.process import Native

PARITY = 1e-4  # fp32: another order of sums, relative to the largest logit


@dataclass(frozen=True)
class CoreReport:
    """One emulated core beside this machine, over the same clips."""

    core: str
    clips: int
    bit_equal: int  # clips whose every logit of every frame is the same number
    same_answer: int
    deviation: float  # largest difference of a logit over the largest logit

    def to_dict(self) -> dict:
        """JSON-ready; a deviation that is no number is null."""
        return finite(asdict(self))

    def failures(self, precision: str) -> list[str]:
        """Why the core does not compute what this machine does; empty when it does."""
        found = []
        if self.same_answer < self.clips:
            found.append(f"{self.core} decides {self.clips - self.same_answer} clips otherwise")
        if not math.isfinite(self.deviation):
            found.append(f"{self.core} gives logits that are not finite")
        elif precision == "fp32" and self.deviation > PARITY:
            found.append(f"{self.core} deviates by {self.deviation:.1e}, more than {PARITY:g}")
        return found


def check_cores(bundle: Bundle, dataset: Clips, cores: tuple[str, ...] = CORES) -> list[CoreReport]:
    """Run every readable clip of ``dataset`` here and on each of ``cores``.

    Raises ``BadInput`` for a bundle of another target, where the runner cannot be built, and when
    no clip can be read.
    """
    if bundle.manifest["target"] != "xnnpack":
        raise BadInput(
            f"--arm64 is for XNNPACK bundles, {bundle.path} is for {bundle.manifest['target']}"
        )
    commands = {"this machine": host_command()} | {core: arm64_command(core) for core in cores}
    logits: dict[str, list[Tensor]] = {name: [] for name in commands}
    with contextlib.ExitStack() as stack:
        ports = bundle.inputs, bundle.outputs
        runners = {
            name: stack.enter_context(Native(command, bundle.artifact, *ports, name))
            for name, command in commands.items()
        }
        pool = stack.enter_context(ThreadPoolExecutor(len(runners)))
        bar = stack.enter_context(progress(len(dataset), "clip", desc="arm64"))
        for i in range(len(dataset)):
            pixels, label = dataset[i]
            bar.update()
            if label == IGNORE:
                continue
            found = pool.map(lambda runner, p=pixels: _logits(bundle, runner, p), runners.values())
            for name, result in zip(runners, found, strict=True):
                logits[name].append(result)
    here = logits.pop("this machine")
    if not here:
        raise BadInput(f"none of the {len(dataset)} clips can be read: repair them")
    return [_report(core, here, there) for core, there in logits.items()]


def _logits(bundle: Bundle, runner: Native, pixels: Tensor) -> Tensor:
    config = bundle.config
    clip = normalise(pixels, config.mean, config.std)[None]
    with torch.inference_mode():
        return run_form(runner, bundle.manifest["form"], clip, bundle.state_shapes, config)[0]


def _report(core: str, here: list[Tensor], there: list[Tensor]) -> CoreReport:
    pairs = list(zip(here, there, strict=True))
    return CoreReport(
        core=core,
        clips=len(pairs),
        bit_equal=sum(torch.equal(a, b) for a, b in pairs),
        same_answer=sum(bool(a.mean(0).argmax() == b.mean(0).argmax()) for a, b in pairs),
        deviation=relative_deviation(torch.stack(there), torch.stack(here)),
    )


def table(reports: list[CoreReport]) -> str:
    """The figures as a Markdown table."""
    numbers = ("clips", "equal to the bit", "same answer", "deviation")
    rows = [[r.core, r.clips, r.bit_equal, r.same_answer, f"{r.deviation:.1e}"] for r in reports]
    return markdown(("core", *numbers), rows, numbers)
