"""The clips that an export rests on: held out for its check, training ones for its ranges."""

from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput

if TYPE_CHECKING:
    from core.checkpoint import Checkpoint
    from core.classes import ClassMap
    from core.data.clips import Clips
    from core.data.source import Source


def held_out(
    data: "Source | None",
    checkpoint: "Checkpoint",
    count: int | None,
    classes: "ClassMap | None" = None,
    labels: list[str] | None = None,
) -> "Clips":
    """Test clips with exactly ``labels``: rendered ones, or those of a folder or data set.

    ``classes`` are what the clips' own become before they have these labels, which are the
    checkpoint's where none are given.
    """
    return _clips(data, "test", checkpoint, labels or checkpoint.labels, count, classes)


def rendered_name(checkpoint: "Checkpoint") -> str:
    """What the rendered clips of a checkpoint are, in words."""
    from core.data.source import trained_capsules

    capsules = trained_capsules(checkpoint.info)
    return f"rendered capsules ({capsules})" if capsules else "rendered people"


def trained_part(clips: "Clips", checkpoint: "Checkpoint") -> str:
    """Words for those among clips that ``teach`` trained a checkpoint on; "" where there are none.

    It trains on all clips of its folder, having judged it before by clips that were held out.
    """
    from core.data.fingerprint import marks

    taught = checkpoint.info.get("taught")
    if not taught or (found := marks(clips)) == []:
        return ""
    if "clips" not in taught:  # of before they were listed
        return ", which it may have been trained on"
    known = [clip in taught["clips"] for clip in found]
    if not any(known):
        return ""
    return ", which it was trained on" if all(known) else ", some of which it was trained on"


def held_out_or(part: str) -> str:
    """What clips are of which ``part`` was trained on, as ``trained_part`` gives it."""
    return f"clips{part}" if part else "held-out clips"


def drawn(clips: "Clips", data: "Source | None", count: int | None) -> "Clips":
    """Held-out clips in the order in which a check looks at them; at most ``count``.

    Those of a folder stand class by class and are shuffled, always alike: any first ones of them
    are a fair sample. Rendered ones, which are independent, stay in theirs.
    """
    import torch

    from core.data.clips import Chosen

    order = list(range(len(clips)))
    if data is not None:
        order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(0)).tolist()
    return Chosen(clips, order[:count])


def count_unopened(dataset: "Clips") -> int:
    """Clips of a folder that could not be opened and were left out.

    To be asked before any clip is read: the list grows by those whose damage lies further on.
    """
    return len(getattr(dataset, "broken", ()))


def training_clips(
    data: "Source | None",
    checkpoint: "Checkpoint",
    count: int | None,
    classes: "ClassMap | None" = None,
) -> "Clips":
    """Training clips, for calibration and quantization-aware training."""
    return _clips(data, "train", checkpoint, checkpoint.labels, count, classes)


def _clips(
    data: "Source | None",
    split: str,
    checkpoint: "Checkpoint",
    labels: list[str],
    count: int | None,
    classes: "ClassMap | None",
) -> "Clips":
    from core.data import open_clips
    from core.data.source import trained_capsules

    if data is not None and not _is_there(data.folder):
        raise BadInput(
            f"--data {data.data} is neither a folder nor a list: give a folder with a sub-folder "
            "for each class, a data set's, or a .csv with a path and a label a row"
        )
    clips = open_clips(
        data, split, checkpoint.config, count, labels=labels, replace=split == "train",
        capsules=trained_capsules(checkpoint.info), classes=classes,
    )  # fmt: skip
    source = data.data if data else "the rendered data set"
    if list(clips.labels) != list(labels):
        raise BadInput(
            f"{source} has classes that are not the checkpoint's {len(labels)} labels "
            f"({', '.join(labels[:3])}, ...): give the folder that it was trained on"
        )
    if len(clips) == 0:
        raise BadInput(f"{source} has no {split} clips: add videos to its class folders")
    return clips


def _is_there(path: Path) -> bool:
    from core.data.listed import SUFFIXES

    try:
        return path.is_dir() or (path.is_file() and path.suffix.lower() in SUFFIXES)
    except OSError:  # a name too long, a parent that may not be searched
        return False
