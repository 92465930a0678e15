"""Clips for training, evaluation and export: synthetic by default, a folder when one is given."""

from pathlib import Path
from typing import Any

from core.classes import ClassMap
from core.data.clips import Clips
from core.data.relabelled import relabelled
from core.data.source import Source
from core.errors import BadInput
from core.labels import LABELS
from core.model import ModelConfig

DEFAULT_COUNT = {"train": 270, "val": 270, "test": 2700}  # synthetic clips when no count is given
CACHE = Path("runs") / "windows"


def open_clips(
    data: Path | Source | None,
    split: str,
    config: ModelConfig,
    count: int | None = None,
    *,
    labels: list[str] | None = None,
    difficulty: str = "default",
    seed: int = 0,
    replace: bool = True,
    views: tuple[int, int] = (1, 1),
    people: bool = False,
    backgrounds: Path | None = None,
    classes: ClassMap | None = None,
) -> Clips:
    """Clips of a split in the size and frame rate of ``config``.

    Items are ``(uint8 (T, 3, S, S) RGB, class index)``, ``.labels`` names the classes and
    ``.broken`` lists a folder's clips that cannot be opened, which are left out. ``replace`` tells
    what becomes of a clip that is found damaged later: see ``FolderClips``. ``data`` is a folder or
    what a command line said about one; ``views`` are the clips and crops of each, stacked in front
    (V, T, 3, S, S) where there are several. ``people`` draws people instead of capsules, with
    ``backgrounds`` of one's own behind them. ``classes`` makes the clips' classes others, which
    ``labels`` then are. Raises ``BadInput`` when the folder is unusable, the labels do not fit or
    ``count`` is not positive.
    """
    if count is not None and count < 1:
        raise BadInput(f"{count} clips: ask for at least one")
    shape: dict[str, Any] = {
        "frames": config.frames,
        "size": config.size,
        "frame_rate": config.frame_rate,
    }
    own = labels
    if classes is not None:
        own = None if classes.known is None else list(classes.known)
    source = _source(data)
    if source is not None:
        from core.data.subset import first

        clips = _of_source(source, split, config, seed, views=views, labels=own, replace=replace)
        return first(_fitting(relabelled(clips, classes), labels, split), count)
    count = count or DEFAULT_COUNT[split]
    only: tuple[str, ...] = LABELS
    if classes is not None:
        numbers = classes.over(LABELS).numbers(LABELS)
        only = tuple(name for name, n in zip(LABELS, numbers, strict=True) if n is not None)
    if people:
        from core.data.rendered.people.clips import PeopleClips

        rendered: Clips = PeopleClips(
            split, count, seed=seed, backgrounds=backgrounds, only=only, **shape
        )
    else:
        from core.data.rendered.synthetic import SyntheticClips

        rendered = SyntheticClips(
            split, count, difficulty=difficulty, seed=seed, only=only, **shape
        )
    rendered = relabelled(rendered, classes)
    if labels is not None and list(labels) != rendered.labels:
        raise BadInput(
            f"the model has {len(labels)} classes of its own ({labels[0]} ...), and the synthetic "
            "gestures are the 27 of Jester: give its clips with --data DIR"
        )
    return rendered


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
    difficulty: str,
    seed: int,
    workers: int,
    protocol: bool = False,
    people: bool = False,
    backgrounds: Path | None = None,
    window_size: int | None = None,
    classes: ClassMap | None = None,
) -> Clips:
    """Training windows: random cuts of a folder's clips, or of synthetic windows on disk.

    ``protocol`` asks for the papers' training view of a plain folder too. ``window_size`` is the
    side of rendered windows in pixels where they are larger than the model's pictures. With
    ``classes`` the windows are ``Relabelled``, whose ``map`` knows all classes of the data.
    """
    windows = _windows(
        data, config, count, difficulty, seed, workers, protocol, people, backgrounds, window_size
    )
    return windows if classes is None else relabelled(windows, classes.over(windows.labels))


def _windows(
    data: Path | Source | None,
    config: ModelConfig,
    count: int,
    difficulty: str,
    seed: int,
    workers: int,
    protocol: bool,
    people: bool,
    backgrounds: Path | None,
    window_size: int | None,
) -> Clips:
    source = _source(data)
    if source is not None:
        return _of_source(source, "train", config, seed, protocol=protocol, train=True)
    from core.data.rendered import window_files
    from core.data.rendered.scenes import DIFFICULTY
    from core.data.rendered.window import WINDOW

    if config.frames > WINDOW:
        raise BadInput(
            f"{config.frames} frames: rendered windows have {WINDOW}: lower --frames, or train on "
            "clips of your own with --data DIR"
        )
    if difficulty not in DIFFICULTY:
        raise BadInput(f"difficulty {difficulty!r} is unknown: choose one of {list(DIFFICULTY)}")
    size = window_size or config.size
    if size < config.size:
        raise BadInput(
            f"--window-size {size} is less than the model's {config.size}: give at least --size"
        )
    if people:
        settings = window_files.people_windows(count, size, config.frame_rate, seed, backgrounds)
    else:
        settings = window_files.capsule_windows(
            count, size, DIFFICULTY[difficulty], config.frame_rate, seed
        )
    folder = CACHE / f"{'people' if people else difficulty}-{size}-{count}-{seed}"
    window_files.render_windows(folder, settings, max(1, workers * 2))
    return window_files.SyntheticWindows(folder, config.frames)
