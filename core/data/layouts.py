"""The clips of a data set by its label files, in the view that a split is seen in."""

import sys

from core.data import clip_list, egogesture, jester, something
from core.data.crops import test_view, training_view, validation_view
from core.data.find import find_clips
from core.data.records import Listing, Record, RecordClips
from core.data.sampling import default_kind
from core.data.source import Source
from core.errors import BadInput
from core.model import ModelConfig

READERS = {"jester": jester.find, "something": something.find, "egogesture": egogesture.find}
# How a picture is resized before the crop: in training, and in validation and test.
FITS = {
    "jester": ("short", "short"),
    "something": ("none", "short"),
    "egogesture": ("square", "square"),
    "folder": ("short", "short"),
    "list": ("short", "short"),
}


def listing(source: Source, split: str, labels: list[str] | None, frame_rate: float) -> Listing:
    """The clips of a split by the layout's label files. Raises ``BadInput`` as the readers do."""
    kind = source.kind
    if kind == "list":
        root = source.root or source.folder.parent
        return clip_list.find(source.folder, root, split, labels, frame_rate)
    if kind != "folder":
        if not source.folder.is_dir():
            raise BadInput(f"data folder {source.data} does not exist: give the folder of {kind}")
        return READERS[kind](source.folder, split, labels)
    found = find_clips(source.folder, split, labels, source.max_broken)
    records = [Record(p, label, frame_rate if p.is_dir() else 0.0) for p, label in found.clips]
    lost = [(str(path), reason) for path, reason in found.missing]
    return Listing(found.labels, records, found.split, lost)


def open_records(
    source: Source,
    split: str,
    config: ModelConfig,
    *,
    labels: list[str] | None = None,
    seed: int = 0,
    train: bool = False,
    replace: bool = True,
    views: tuple[int, int] = (1, 1),
) -> RecordClips:
    """Clips of a data set in the view of its published protocol, at the size of ``config``.

    ``views`` are the clips and crops of a test. Says on stderr what was found.
    """
    kind = source.kind
    fit = FITS[kind][0 if train else 1]
    clips, crops = views
    if train:
        view = training_view(fit, config.size)
    elif views == (1, 1):
        view = validation_view(fit, config.size)
    else:
        view = test_view(fit, config.size, crops)
    found = listing(source, split, labels, config.frame_rate)
    sampling = source.sampling or default_kind(config.causal)
    plain = source.dataset or kind in ("folder", "list")
    told = "" if plain else " (recognised by its label files)"
    sys.stderr.write(
        f"{source.data}: {kind}{told}, {found.split}: {len(found.records)} clips of "
        f"{len(found.labels)} classes, {sampling} of {config.frames} frames\n"
    )
    data = RecordClips(
        found, view, sampling=sampling, frames=config.frames, frame_rate=config.frame_rate,
        clips=clips, seed=seed, train=train, replace=replace, max_broken=source.max_broken,
    )  # fmt: skip
    if not len(data):
        raise BadInput(f"{source.data} has no {split} clips: give the whole data set")
    return data
