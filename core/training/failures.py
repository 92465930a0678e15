"""What ends a training run early, said in one line, with a checkpoint that can be used."""

import contextlib
import errno
import signal
from pathlib import Path

import torch

from core import checkpoint
from core.errors import BadInput, one_line
from core.training.trainer import Diverged, Run

LAST = "last.safetensors"
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
NO_WRITE = ("PytorchStreamWriter failed", "No space left on device", "file write failed")
DEAD_WORKER = ("exited unexpectedly", "killed by signal", "unable to open shared memory", "shm")


def save_last(run: Run, out: Path) -> Path:
    """Write the newest weights that have not seen a failed step; gives the path.

    They are the same in every process; each but the first has a name of its own for them.
    """
    path = out / (LAST if run.world.leads else f"last-{run.world.rank}.safetensors")
    checkpoint.save(path, run.average, run.labels, {"settings": run.settings, "step": run.step})
    return path


def explained(error: Exception, run: Run, out: Path) -> Exception:
    """The error to raise in the place of ``error``, with ``last.safetensors`` written.

    Memory that ran out, a loss that is no number, a loader process that died and clips that cannot
    be read become ``BadInput``; anything else is a bug and stays what it is. A process that fails
    alone writes for itself, since ``torchrun`` stops the others.
    """
    # A dead worker is told twice: by the loader, and by a signal that raises wherever we are.
    with contextlib.suppress(AttributeError, ValueError):  # Windows, other threads
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reason = _reason(error, run)
    if reason is None:
        return error
    if isinstance(error, Diverged):  # in every process
        if run.world.leads:
            save_last(run, out)
        return BadInput(
            f"{reason}: start from the weights before it (--from {out / LAST}) with a lower --lr "
            "and another --out"
        )
    goes_on = f"the same command goes on from step {run.saved_step}"
    try:
        last = save_last(run, out)
    except (OSError, RuntimeError, BadInput):  # the disk that is full is full for this too
        return BadInput(f"{reason}; {goes_on}")
    return BadInput(f"{reason}; the weights of step {run.step} are {last}, and {goes_on}")


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
    if (isinstance(error, OSError) and error.errno in FULL) or (
        isinstance(error, OSError | RuntimeError) and any(part in text for part in NO_WRITE)
    ):
        return (
            f"a file cannot be written at step {run.step} ({' '.join(text.split())[:100]}): make "
            "room on the disk"
        )
    if isinstance(error, RuntimeError) and any(part in text for part in DEAD_WORKER):
        return (
            f"a loader process died at step {run.step} ({' '.join(text.split())[:100]}): give "
            "fewer --workers, or more memory or shared memory"
        )
    return None
