"""Class-activation maps: where in each frame of a clip a model sees its answer.

    python -m core.cam --class "Rolling Hand Forward" --out cam.png \\
        --checkpoint runs/tsn/best.safetensors --checkpoint runs/action/best.safetensors
    python -m core.cam --video clip.mp4 --checkpoint MODEL --out cam.png

The picture is laid out like Figures 3 to 5 of ACTION-Net's supplement: the clip in the first row,
one row a model, named by its temporal module. A map is the classifier's weight of the class times
the features before pooling, summed over channels (CAM, Zhou et al., CVPR 2016, section 2), which
works for every backbone that ends in global average pooling and a linear classifier. A row has one
scale, from its least value to its largest: a frame in which a model sees nothing stays blue.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core import checkpoint
from core.checkpoint import Checkpoint
from core.data import open_clips
from core.data.rate import Unreadable
from core.data.sampling import default_kind
from core.data.source import trained_capsules, trained_sampling
from core.data.transforms import normalise
from core.errors import BadInput
from core.files import plain_words, write_figure
from core.labels import LABELS
from core.model import NETWORKS, VideoClassifier
from core.options import Parser, check_file, whole

BLEND = 0.5  # of the map over the picture
COLUMNS = 8  # frames that are shown


@dataclass(frozen=True)
class Seen:
    """A clip as one model sees it, its maps and its answer."""

    name: str  # of the row
    pictures: Tensor  # uint8 (T, 3, S, S)
    maps: Tensor  # (T, S, S), 0 to 1
    target: str  # the class that the maps are of
    answer: str
    confidence: float


def class_maps(model: VideoClassifier, clip: Tensor, target: int | None) -> tuple[Tensor, Tensor]:
    """Class-activation maps (T, h, w) of a class and the clip's logits (classes,).

    Without a ``target`` they are of the model's own answer.
    ``clip`` is (T, 3, S, S), normalised. With the bias added, the mean of a frame's map is its
    logit.
    """
    held: list[Tensor] = []
    hook = model.backbone.register_forward_hook(lambda _m, _i, output: held.append(output))
    try:
        with torch.inference_mode():
            logits = model(clip[None])[0]
    finally:
        hook.remove()
    (features,) = held  # (T, D, h, w): one clip, so time is the batch
    if target is None:
        target = int(logits.argmax())
    weight = model.classifier.weight[target].detach()
    return torch.einsum("tdhw,d->thw", features.float(), weight.float()), logits.float()


def shown(maps: Tensor, size: int) -> Tensor:
    """Maps (T, h, w) over pictures of ``size``: (T, size, size), 0 to 1 over the whole clip.

    The zero of a map says nothing: the same vector added to the weights of all classes would move
    it and leave every probability as it is.
    """
    large = F.interpolate(maps[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]
    low, high = large.aminmax()
    return (large - low) / (high - low).clamp(min=1e-12)


def look(loaded: Checkpoint, pictures: Tensor, target: str | None) -> Seen:
    """Maps of one model for a class, or for its own answer.

    Raises ``BadInput`` when it does not know the class.
    """
    config = loaded.config
    clip = normalise(pictures, config.mean, config.std)
    if target is not None and target not in loaded.labels:
        raise BadInput(f"{loaded.path} does not know {target!r}: give a class of its own")
    index = None if target is None else loaded.labels.index(target)
    maps, logits = class_maps(loaded.model, clip, index)
    best = int(logits.argmax())
    confidence = float(logits.softmax(-1)[best])
    return Seen(
        row_name(loaded), pictures, shown(maps, config.size),
        loaded.labels[best] if target is None else target, loaded.labels[best], confidence,
    )  # fmt: skip


def row_name(loaded: Checkpoint) -> str:
    """TSN, TSM, STE ..., with the direction where it matters."""
    config = loaded.config
    name = NETWORKS[config.temporal].upper()
    return name if config.causal or config.temporal == "none" else f"{name}, bidirectional"


def rendered_clip(loaded: Checkpoint, label: str, number: int) -> Tensor:
    """Rendered test clip ``number`` of a class, as the model sees it: uint8 (T, 3, S, S)."""
    index = LABELS.index(label) + number * len(LABELS)
    capsules = trained_capsules(loaded.info)
    return open_clips(None, "test", loaded.config, index + 1, capsules=capsules)[index][0]


def video_clip(loaded: Checkpoint, path: Path) -> Tensor:
    """A video file or a folder of images as the model sees it: uint8 (T, 3, S, S).

    Segments for a bidirectional model, the middle at its frame rate for a causal one. Raises
    ``BadInput`` when it cannot be read.
    """
    from core.data.crops import View
    from core.data.records import Listing, Record, RecordClips

    config = loaded.config
    rate = config.frame_rate if path.is_dir() else 0.0
    trained = trained_sampling(loaded.info)
    clips = RecordClips(
        Listing(loaded.labels, [Record(path, 0, rate)], "test"),
        View(config.size, "short", config.size),
        sampling=trained or default_kind(config.causal),
        frames=config.frames,
        frame_rate=config.frame_rate,
    )
    try:
        return clips.read(clips.records[0])
    except Unreadable as error:
        raise BadInput(f"--video {path} cannot be read ({error}): give another one") from None


@plain_words
def draw(path: Path, rows: list[Seen]) -> None:
    """The clip of the first model above, a row of maps for each model below, into a PNG."""
    from matplotlib.figure import Figure

    columns = min(COLUMNS, min(len(row.pictures) for row in rows))
    size = (1.35 * columns + 1.2, 1.55 * (len(rows) + 1))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rows) + 1, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    _row(axes[0], rows[0], columns, maps=False)
    axes[0, 0].set_ylabel("clip", fontsize=10)
    targets = sorted({row.target for row in rows})
    figure.suptitle(" / ".join(targets) if len(targets) == 1 else "each model's own answer")
    for line, row in zip(axes[1:], rows, strict=True):
        _row(line, row, columns, maps=True)
        line[0].set_ylabel(row.name.replace(", ", "\n"), fontsize=10)
        said = f"{row.answer} {100 * row.confidence:.0f} %"
        line[0].set_title(said, loc="left", fontsize=8, pad=2)
    write_figure("--out", path, figure, dpi=100)


def _row(axes: np.ndarray, row: Seen, columns: int, maps: bool) -> None:
    """Frames at equal distances in the clip, whatever its number of frames."""
    picked = ((np.arange(columns) + 0.5) * len(row.pictures) / columns).astype(int)
    for axis, t in zip(axes, picked, strict=True):
        axis.imshow(row.pictures[t].permute(1, 2, 0).numpy())
        if maps:
            axis.imshow(row.maps[t].numpy(), cmap="jet", alpha=BLEND, vmin=0, vmax=1)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(
        prog="python -m core.cam",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--checkpoint", type=Path, action="append",
        help="a row each, in this order; default: the bundled",
    )  # fmt: skip
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--video", type=Path, help="a video file or a folder of images")
    source.add_argument("--class", dest="label", choices=LABELS, help="a rendered gesture")
    add("--clip", type=whole(0), default=0, help="number of the rendered clip")
    add("--target", help="class of the maps; default: the rendered class, or each model's answer")
    add("--frames", type=whole(1), help="frames of the clip, default: each model's own")
    add("--out", type=Path, default=Path("cam.png"))
    args = parser.parse_args(argv)
    check_file("--out", args.out)
    rows = []
    for path in args.checkpoint or [checkpoint.bundled_path()]:
        loaded = checkpoint.load(path)
        if args.frames:
            loaded.model.config = replace(loaded.config, frames=args.frames)
        seen = (
            video_clip(loaded, args.video)
            if args.video
            else rendered_clip(loaded, args.label, args.clip)
        )
        rows.append(look(loaded, seen, args.target or args.label))
    draw(args.out, rows)
    for row in rows:
        print(f"{row.name}: {row.answer} ({100 * row.confidence:.1f} %), maps of {row.target}")
    print(args.out)
    return 0
