"""The check of a bundle: its golden clip again, and checkpoint and artifact on the same clips."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.files import finite
from mobile_export.verify import gate

if TYPE_CHECKING:
    from core.checkpoint import Checkpoint
    from core.data.clips import Clips
    from mobile_export.bundle.reader import Bundle
    from mobile_export.runtime import Runner
    from mobile_export.verify.accuracy import Comparison

# What the logits may deviate from the checkpoint's, relative to the largest of them. fp32: nothing
# but rounding. The others are far above what trained models do (fp16 1e-2, int8 6e-2) and above
# random weights (5e-2 and 0.4), which magnify rounding; logits of zero, or twice as large as they
# should be, deviate by 1.
PARITY = {"fp32": 1e-4, "fp16": 0.2, "w8a16": 0.2, "int8": 0.75}
MAX_DROP = 1.0  # points; what quantization may cost
# Of a check that is not told how many clips to take. An artifact that answers as its checkpoint
# does needs 535 to show a loss of one point at most.
SECONDS = 60.0
FEWEST_CLIPS = 27  # looked at whatever they take: rendered ones are then one of each class


@dataclass(frozen=True)
class Report:
    """Outcome of a check; ``failures`` is empty when the artifact passes."""

    name: str
    runner: str
    interpreted: bool  # by a reference interpreter, not the target's runtime
    comparison: "Comparison"
    golden_deviation: float
    golden_tolerance: float
    max_drop: float
    failures: list[str]
    which: str = "held-out clips"  # or those that it was trained on

    @property
    def verdict(self) -> gate.Verdict:
        """What the clips show of the drop alone."""
        return gate.verdict(self.comparison.gate_interval, self.max_drop)

    @property
    def shown(self) -> str:
        """The verdict in words."""
        c = self.comparison
        return gate.in_words(c.gate_interval, self.max_drop, c.clips)

    def to_dict(self) -> dict:
        """JSON-ready; a deviation that is not finite is null."""
        values = self.comparison.to_dict() | {
            "name": self.name,
            "runner": self.runner,
            "interpreted": self.interpreted,
            "golden_deviation": self.golden_deviation,
            "golden_tolerance": self.golden_tolerance,
            "max_drop": self.max_drop,
            "verdict": self.verdict,
            "failures": self.failures,
        }
        return finite(values)

    def table(self) -> str:
        """The figures as a Markdown table."""
        c = self.comparison
        intervals = [f"{low:+.2f} to {high:+.2f} points" for low, high in c.intervals]
        broken = f", and {c.broken} broken" if c.broken else ""
        rows = [
            ("executed by", self.runner),
            (self.which, f"{c.clips}{broken}"),
            ("top-1 of the checkpoint", f"{c.checkpoint_top1:.2f} %"),
            ("top-1 of the artifact", f"{c.artifact_top1:.2f} %"),
            ("drop", f"{c.drop:+.2f} points, at most {self.max_drop:g} allowed"),
            ("95 % interval of the drop", intervals[0]),
            ("the wider one that decides", intervals[1]),
            ("verdict", self.shown),
            ("same answer", f"{c.agreement:.2f} %"),
            ("deviation of the logits", f"{c.deviation:.2e} of the largest"),
            ("golden clip", f"{self.golden_deviation:.2e}, tolerance {self.golden_tolerance:.2e}"),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"| {'':{width}} | {self.name} |", f"| {'-' * width} | --- |"]
        return "\n".join(lines + [f"| {name:{width}} | {value} |" for name, value in rows])


def replay_golden(bundle: "Bundle", runner: "Runner") -> float:
    """Largest deviation from the golden logits over the largest of them; infinite for NaN."""
    import torch

    from mobile_export.runtime.inference import relative_deviation, run_form

    clip, form = torch.from_numpy(bundle.golden("inputs"))[None], bundle.manifest["form"]
    with torch.inference_mode():
        got = run_form(runner, form, clip, bundle.state_shapes, bundle.config)[0]
    expected = torch.from_numpy(bundle.golden("logits"))
    if got.shape != expected.shape or not bool(got.isfinite().all()):
        return math.inf
    return relative_deviation(got, expected)


def check(
    bundle: "Bundle",
    checkpoint: "Checkpoint",
    runner: "Runner",
    dataset: "Clips",
    max_drop: float,
    unopened: int = 0,
    *,
    until_shown: bool = False,
    strict: bool = False,
    which: str = "held-out clips",
) -> Report:
    """Replay the golden clip and compare on the clips of ``dataset``, with a progress bar.

    All of them, or with ``until_shown`` batch by batch until the drop is shown to be allowed or
    not, or ``SECONDS`` are over. ``strict`` makes a failure of what was not shown. ``unopened``
    clips were left out of ``dataset``, see ``count_unopened``; ``which`` says what the others are.
    """
    from mobile_export.verify.accuracy import Measurement

    manifest = bundle.manifest
    golden = replay_golden(bundle, runner)
    tolerance = manifest["golden"]["tolerance"]
    measurement = Measurement(checkpoint.model, runner, manifest["form"], bundle.state_shapes)
    enough = _shown_or_late(max_drop) if until_shown else None
    comparison = measurement.run(dataset, unopened, enough)
    failures = []
    found = gate.verdict(comparison.gate_interval, max_drop)
    if found == "failed":
        failures.append(
            f"it loses {comparison.drop:.2f} points on {comparison.clips} clips "
            f"({gate.in_95(comparison.gate_interval)}), more than the {gate.in_points(max_drop)} "
            "allowed"
        )
    elif found == "not shown" and strict:
        failures.append(
            f"{comparison.clips} clips do not show that it loses at most "
            f"{gate.in_points(max_drop)} ({gate.in_95(comparison.gate_interval)}): take more "
            "clips, or leave strict out"
        )
    precision = manifest["precision"]
    if not math.isfinite(comparison.deviation):
        failures.append("it gives logits or states that are not finite")
    elif comparison.deviation > PARITY[precision]:
        failures.append(
            f"its logits deviate by {comparison.deviation:.1e} from the checkpoint's, more than "
            f"{PARITY[precision]:g} for {precision}"
        )
    if not golden <= tolerance:
        failures.append(f"its golden clip deviates by {golden:.1e}, more than {tolerance:.1e}")
    return Report(
        name=manifest["name"],
        runner=runner.name,
        interpreted=runner.interpreted,
        comparison=comparison,
        golden_deviation=golden,
        golden_tolerance=tolerance,
        max_drop=max_drop,
        failures=failures,
        which=which,
    )


def _shown_or_late(max_drop: float) -> Callable[[int, int, int], bool]:
    """Whether to stop: the answer is there, or the time, blind to answers, is over."""
    end = time.monotonic() + SECONDS

    def enough(lost: int, won: int, clips: int) -> bool:
        if clips < FEWEST_CLIPS:
            return False
        interval = gate.gate_interval(lost, won, clips)
        return gate.verdict(interval, max_drop) != "not shown" or time.monotonic() >= end

    return enough
