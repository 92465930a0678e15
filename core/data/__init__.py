"""Clips for training, evaluation and export: rendered by default, a folder when one is given."""

from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from core.classes import ClassMap
from core.data.clips import Chosen, Clips
from core.data.relabelled import relabelled
from core.data.source import Source
from core.errors import BadInput
from core.labels import LABELS
from core.model import ModelConfig

DEFAULT_COUNT = {"train": 270, "val": 270, "test": 2700}  # rendered clips when no count is given
CACHE = Path("runs") / "windows"


def open_clips(
    data: Path | Source | None,
    split: str,
    config: ModelConfig,
    count: int | None = None,
    *,
    labels: list[str] | None = None,
    capsules: str | None = None,
    seed: int = 0,
    replace: bool = True,
    views: tuple[int, int] = (1, 1),
    backgrounds: Path | None = None,
    classes: ClassMap | None = None,
) -> Clips:
    """Clips of a split in the size and frame rate of ``config``.

    Items are ``(uint8 (T, 3, S, S) RGB, class index)``, ``.labels`` names the classes and
    ``.broken`` lists a folder's clips that cannot be opened, which are left out. ``replace`` tells
    what becomes of a clip that is found damaged later: see ``FolderClips``. ``data`` is a folder or
    what a command line said about one; ``views`` are the clips and crops of each, stacked in front
    (V, T, 3, S, S) where there are several. Without ``data`` they are rendered: people, with
    ``backgrounds`` of one's own behind them, or hands of ``capsules``, easy, default or hard. The
    package's are taken where ``count`` is at most theirs, or not given, and the view is one that
    they have. ``classes`` makes the clips' classes others, which ``labels`` then are. Raises
    ``BadInput`` when the folder is unusable, the labels do not fit or ``count`` is not positive.
    """
    if count is not None and count < 1:
        raise BadInput(f"{count} clips: ask for at least one")
    own = labels
    if classes is not None:
        own = None if classes.known is None else list(classes.known)
    source = _source(data)
    if source is not None:
        from core.data.subset import first

        clips = _of_source(source, split, config, seed, views=views, labels=own, replace=replace)
        return first(_fitting(relabelled(clips, classes), labels, split), count)
    only: tuple[str, ...] = LABELS
    if classes is not None:
        numbers = classes.over(LABELS).numbers(LABELS)
        only = tuple(name for name, n in zip(LABELS, numbers, strict=True) if n is not None)
    rendered = rendered_clips(
        split, config, count, capsules=capsules, seed=seed, backgrounds=backgrounds, only=only
    )
    rendered = relabelled(rendered, classes)
    if labels is not None and list(labels) != rendered.labels:
        raise BadInput(
            f"the model has {len(labels)} classes of its own ({labels[0]} ...), and the rendered "
            "gestures are the 27 of Jester: give its clips with --data DIR"
        )
    return rendered


def rendered_clips(
    split: str,
    config: ModelConfig,
    count: int | None,
    *,
    capsules: str | None = None,
    seed: int = 0,
    backgrounds: Path | None = None,
    only: tuple[str, ...] = LABELS,
) -> Clips:
    """Those of the package, or ones that are drawn when they are asked for; see ``open_clips``.

    ``only`` are the classes that they have.
    """
    if capsules is None and seed == 0 and backgrounds is None:
        clips = _packed(split, config, count, only)
        if clips is not None:
            return clips
    how: dict[str, Any] = {
        "frames": config.frames, "size": config.size, "frame_rate": config.frame_rate,
        "seed": seed, "only": only,
    }  # fmt: skip
    count = count or DEFAULT_COUNT[split]
    if capsules is None:
        from core.data.rendered.people.clips import PeopleClips

        return PeopleClips(split, count, backgrounds=backgrounds, **how)
    from core.data.rendered.synthetic import SyntheticClips

    return SyntheticClips(split, count, difficulty=capsules, **how)


def rendered_streams(
    split: str,
    config: ModelConfig,
    count: int,
    *,
    capsules: str | None = None,
    backgrounds: Path | None = None,
) -> Dataset[Any]:
    """Continuous recordings of ten gestures each, drawn when they are asked for.

    Items are ``(uint8 (T, 3, S, S), first frame, last frame and class of each gesture (G,))``.
    """
    if capsules is None:
        from core.data.rendered.people.clips import PeopleStreams

        return PeopleStreams(count, config, split=split, backgrounds=backgrounds)
    from core.data.rendered.synthetic import SyntheticStreams

    return SyntheticStreams(count, config, capsules, split=split)


def _packed(
    split: str, config: ModelConfig, count: int | None, only: tuple[str, ...]
) -> Clips | None:
    """The clips in the package; None where they are too few or not what the model sees."""
    from core.data import packed

    if split not in packed.COUNTS or not packed.fits(config):
        return None
    clips = packed.PackedClips(split, frames=config.frames, size=config.size, only=only)
    if count is None or count == len(clips):
        return clips
    return Chosen(clips, range(count)) if count < len(clips) else None


def _of_source(
    source: Source,
    split: str,
    config: ModelConfig,
    seed: int,
    *,
    protocol: bool = False,
    views: tuple[int, int] = (1, 1),
    **how: Any,
) -> Clips:
    """Clips of a folder, a list or a data set; ``protocol`` asks for the papers' view of any.

    ``how`` are ``labels``, ``replace`` and ``train``, which all kinds of clips take.
    """
    if protocol or not source.is_plain or views != (1, 1):
        from core.data.layouts import open_records

        return open_records(source, split, config, seed=seed, views=views, **how)
    from core.data.folder import FolderClips

    clips = FolderClips(
        source.folder, split, frames=config.frames, size=config.size,
        frame_rate=config.frame_rate, seed=seed, max_broken=source.max_broken, **how,
    )  # fmt: skip
    clips.check()  # before the loader's workers, who each would find out for themselves
    return clips


def _fitting(clips: Clips, labels: list[str] | None, split: str) -> Clips:
    """Refuse regrouped clips of other classes than the model's."""
    if labels is not None and list(labels) != list(clips.labels):
        raise BadInput(
            f"the {split} clips have the classes {', '.join(clips.labels[:3])}, ... and the model "
            f"{', '.join(labels[:3])}, ...: give the --classes that it was trained with"
        )
    return clips


def _source(data: Path | Source | None) -> Source | None:
    if data is None:
        return None
    source = data if isinstance(data, Source) else Source(Path(data))
    return None if source.data is None else source


def open_windows(
    data: Path | Source | None,
    config: ModelConfig,
    count: int,
    seed: int,
    workers: int,
    protocol: bool = False,
    capsules: str | None = None,
    backgrounds: Path | None = None,
    window_size: int | None = None,
    classes: ClassMap | None = None,
) -> Clips:
    """Training windows: random cuts of a folder's clips, or of rendered windows on disk.

    ``protocol`` asks for the papers' training view of a plain folder too. ``window_size`` is the
    side of rendered windows in pixels where they are larger than the model's pictures. With
    ``classes`` the windows are ``Relabelled``, whose ``map`` knows all classes of the data.
    """
    windows = _windows(
        data, config, count, seed, workers, protocol, capsules, backgrounds, window_size
    )
    return windows if classes is None else relabelled(windows, classes.over(windows.labels))


def _windows(
    data: Path | Source | None,
    config: ModelConfig,
    count: int,
    seed: int,
    workers: int,
    protocol: bool,
    capsules: str | None,
    backgrounds: Path | None,
    window_size: int | None,
) -> Clips:
    source = _source(data)
    if source is not None:
        return _of_source(source, "train", config, seed, protocol=protocol, train=True)
    from core.data.rendered import window_files
    from core.data.rendered.scenes import variation_of
    from core.data.rendered.window import WINDOW

    if config.frames > WINDOW:
        raise BadInput(
            f"{config.frames} frames: rendered windows have {WINDOW}: lower --frames, or train on "
            "clips of your own with --data DIR"
        )
    size = window_size or config.size
    if size < config.size:
        raise BadInput(
            f"--window-size {size} is less than the model's {config.size}: give at least --size"
        )
    if capsules is None:
        settings = window_files.people_windows(count, size, config.frame_rate, seed, backgrounds)
    else:
        variation = variation_of(capsules)
        settings = window_files.capsule_windows(count, size, variation, config.frame_rate, seed)
    kind = capsules or (f"people-{backgrounds.name}" if backgrounds else "people")
    folder = CACHE / f"{kind}-{size}-{count}-{seed}"
    window_files.render_windows(folder, settings, max(1, workers * 2))
    return window_files.SyntheticWindows(folder, config.frames)
