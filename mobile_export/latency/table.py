"""A report as Markdown."""

import math

from core.markdown import markdown
from mobile_export.bundle.sustained import last_whole

STAGES = {
    "preprocess": "pre-processing",
    "execute": "execution",
    "postprocess": "post-processing",
    "end_to_end": "end to end",
}

FIGURES = ("min", "mean", "p50", "p90", "p99", "std")
OPERATORS = 8  # kinds that are printed; the JSON has all
MIB = 2**20


def report_text(report: dict) -> str:
    """All runs, then the artifact's accuracy."""
    device, seen = report["device"], report["input"]
    # The default name begins with the model.
    model = None if report["name"].startswith(device["model"]) else device["model"]
    cores = f"{device['cores']} processors"
    machine = ", ".join(filter(None, [model, device["soc"], cores, device["os_version"]]))
    pictures = f"{seen['frames']} pictures of {seen['width']}x{seen['height']}, {seen['source']}"
    head = f"{report['name']}: {machine}; {pictures}"
    parts = [run_text(report["artifact"], run) for run in report["runs"]]
    return "\n\n".join([head, *parts, accuracy_line(report["accuracy"])])


def run_text(artifact: dict, run: dict) -> str:
    """One run: stages by percentiles, what else was measured, the slowest operators."""
    title = f"{run['backend']}, {threads_text(run['threads'])}, ms"
    rows = [
        [words, *(f"{run['stages'][stage][figure]:.3f}" for figure in FIGURES)]
        for stage, words in STAGES.items()
    ]
    memory, stages = run["memory"], run["stages"]
    facts = [
        ["calls", f"{stages['end_to_end']['count']}, after 1 first and {run['warmup']} more"],
        ["cold load, first inference", f"{run['cold_load_ms']:.2f} ms, "
         f"{run['first_inference_ms']:.2f} ms"],
        ["memory before, steady, peak", ", ".join(
            mebibytes(memory[key]) for key in ("before_bytes", "steady_bytes", "peak_bytes"))],
        ["throughput", throughput(artifact, stages["end_to_end"]["mean"])],
        *sustained_rows(run["sustained"]),
    ]  # fmt: skip
    parts = [markdown([title, *FIGURES], rows, FIGURES), markdown(["", ""], facts)]
    if run["operators"]:
        shown = run["operators"][:OPERATORS]
        kinds = [[o["name"], str(o["calls"]), f"{o['ms']:.3f}"] for o in shown]
        parts.append(markdown(["slowest operators", "calls", "ms"], kinds, ("calls", "ms")))
    if run["operators_note"]:
        parts.append(f"Operators: {run['operators_note']}")
    return "\n\n".join(parts)


def throughput(artifact: dict, mean_ms: float) -> str:
    """Frames a second as fast as they go, beside the rate that the model takes."""
    if mean_ms <= 0:  # below what is written
        return "too fast to tell"
    frames = 1e3 * artifact["frames_a_call"] / mean_ms
    rate = artifact["frame_rate"]
    times = floored(frames / rate, 2)
    return f"{floored(frames, 1)} frames a second, {times} times the model's {rate:g}"


def floored(value: float, decimals: int) -> str:
    """With so many decimals, rounded down: a speed is never told as more than it is."""
    steps = 10**decimals
    # 0.29 * 100 is 28.999999999999996, which is no reason to write 0.28.
    return f"{math.floor(round(value * steps, 6)) / steps:.{decimals}f}"


def sustained_rows(sustained: dict | None) -> list[list[str]]:
    """First second of a long run, and the last that is whole."""
    if sustained is None:
        return []
    first, last = sustained["points"][0], last_whole(sustained["points"])
    text = f"{sustained['calls']} calls, p50 {first['p50_ms']:.3f} ms in the first second"
    if last is not first:
        text += f", {last['p50_ms']:.3f} ms in the last whole one"
    return [[f"{sustained['seconds']:.0f} s without pause", text]]


def accuracy_line(accuracy: dict) -> str:
    """What this very artifact answers right, beside its checkpoint."""
    low, high = accuracy["drop_interval"]
    reading = ", by a reference interpreter" if accuracy["interpreted"] else ""
    return (
        f"Top-1 {accuracy['artifact_top1']:.2f} %, its checkpoint "
        f"{accuracy['checkpoint_top1']:.2f} % (95 % interval of the drop {low:+.2f} to "
        f"{high:+.2f}) on {accuracy['clips']} clips of {accuracy['data']}{reading}"
    )


def threads_text(threads: int | None) -> str:
    """In words."""
    if threads is None:
        return "threads as the backend likes"
    return f"{threads} thread" + ("s" if threads > 1 else "")


def mebibytes(count: int | None) -> str:
    """Bytes as MiB."""
    return "unknown" if count is None else f"{count / MIB:.1f} MiB"
