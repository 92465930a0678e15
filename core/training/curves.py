"""Training curves for TensorBoard, beside the JSON lines of ``log.jsonl``.

The writer is TensorBoard's own, through torch; it is an extra of the package.
"""

from collections.abc import Mapping
from pathlib import Path

from core.errors import BadInput

NOT_CURVES = ("step", "seconds")


def summary_writer() -> type:
    """TensorBoard's writer; raises ``BadInput`` when the extra is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BadInput(
            f"--tensorboard needs TensorBoard ({error}): pip install 'action-mobile[curves]'"
        ) from None
    return SummaryWriter


class Curves:
    """Records of a run as scalars: ``accuracy``, ``lr``, ``loss/frame`` and so on.

    Goes on in ``folder`` after ``step``; what an earlier run wrote past it is hidden.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.writer = summary_writer()(str(folder), purge_step=step + 1)

    def add(self, record: Mapping[str, float]) -> None:
        """One record of ``log.jsonl``."""
        for name, value in record.items():
            if name not in NOT_CURVES:
                self.writer.add_scalar(name.replace("loss_", "loss/"), value, int(record["step"]))
        self.writer.flush()  # a run that is killed keeps its curves
