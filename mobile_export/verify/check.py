"""The check of a bundle: its golden clip again, and checkpoint and artifact on the same clips."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
DIFFICULTIES = ("easy", "default", "hard")  # of rendered clips
CLIPS = 400  # held-out clips of a check when nothing else is asked for


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

    def to_dict(self) -> dict:
        """JSON-ready; a deviation that is not finite is null."""
        values = self.comparison.to_dict() | {
            "name": self.name,
            "runner": self.runner,
            "interpreted": self.interpreted,
            "golden_deviation": self.golden_deviation,
            "golden_tolerance": self.golden_tolerance,
            "max_drop": self.max_drop,
            "failures": self.failures,
        }
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in values.items()
        }

    def table(self) -> str:
        """The figures as a Markdown table."""
        c = self.comparison
        low, high = c.drop_interval
        broken = f", and {c.broken} broken" if c.broken else ""
        rows = [
            ("executed by", self.runner),
            ("held-out clips", f"{c.clips}{broken}"),
            ("top-1 of the checkpoint", f"{c.checkpoint_top1:.2f} %"),
            ("top-1 of the artifact", f"{c.artifact_top1:.2f} %"),
            ("drop", f"{c.drop:+.2f} points, at most {self.max_drop:g} allowed"),
            ("95 % interval of the drop", f"{low:+.2f} to {high:+.2f} points"),
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
) -> Report:
    """Replay the golden clip and compare on every clip of ``dataset``, with a progress bar.

    ``unopened`` clips were left out of ``dataset``, see ``count_unopened``.
    """
    from mobile_export.verify.accuracy import Measurement

    manifest = bundle.manifest
    golden = replay_golden(bundle, runner)
    tolerance = manifest["golden"]["tolerance"]
    measurement = Measurement(checkpoint.model, runner, manifest["form"], bundle.state_shapes)
    comparison = measurement.run(dataset, unopened)
    failures = []
    if comparison.drop > max_drop:
        lost = comparison.only_checkpoint_right - comparison.only_artifact_right
        failures.append(
            f"it drops {comparison.drop:.2f} points ({lost} of {comparison.clips} clips), more "
            f"than {max_drop:g}"
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
    )
