"""What ends a training run early, said in one line, with a checkpoint that can be used."""

from pathlib import Path

import torch

from core import checkpoint
from core.errors import BadInput, one_line
from core.trainer import Diverged, Run

LAST = "last.safetensors"
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
DEAD_WORKER = ("exited unexpectedly", "killed by signal", "unable to open shared memory", "shm")


def save_last(run: Run, out: Path) -> Path:
    """Write the newest weights that have not seen a failed step; gives the path."""
    info = {"settings": run.settings, "step": run.step}
    checkpoint.save(out / LAST, run.average, run.labels, info)
    return out / LAST


def explained(error: Exception, run: Run, out: Path) -> Exception:
    """The error to raise in the place of ``error``, with ``last.safetensors`` written.

    Memory that ran out, a loss that is no number, a loader process that died and clips that cannot
    be read become ``BadInput``; anything else is a bug and stays what it is. Every process may call
    this, one of them writes.
    """
    reason = _reason(error, run)
    if reason is None:
        return error
    if run.world.leads:
        save_last(run, out)
    if isinstance(error, Diverged):
        return BadInput(
            f"{reason}: start from the weights before it (--from {out / LAST}) with a lower --lr "
            "and another --out"
        )
    return BadInput(
        f"{reason}; the weights of step {run.step} are {out / LAST}, and the same command goes on "
        f"from step {run.saved_step}"
    )


def _reason(error: Exception, run: Run) -> str | None:
    text = str(error)
    if isinstance(error, BadInput):
        return one_line(error)
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(part in text for part in NO_MEMORY)
    ):
        return (
            f"out of memory on {run.device} at step {run.step}: cut the steps with --accumulate 2, "
            "or start anew with a smaller --batch or --size"
        )
    if isinstance(error, RuntimeError) and any(part in text for part in DEAD_WORKER):
        return (
            f"a loader process died at step {run.step} ({' '.join(text.split())[:100]}): give "
            "fewer --workers, or more memory or shared memory"
        )
    return None
