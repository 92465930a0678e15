"""Look at a data set and measure how fast its clips are read.

    python -m core.data --data DIR --workers 0 2 4
    python -m core.data --data DIR --write-list clips.csv

The second command turns any layout into a list of clips, which --data takes as well.

Prints what the folder was recognised as and what each split holds, then clips a second of training
batches for each number of loader processes, the first batch of each not counted.
"""

import argparse
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from core.data import clip_list
from core.data.clips import Clips
from core.data.label_files import SPLITS
from core.data.layouts import listing, open_records
from core.data.records import Listing
from core.data.source import Source, source_of
from core.errors import BadInput, run_main
from core.model import LEAST_SIZE, ModelConfig
from core.options import Parser, add_data_options, check_file, positive, whole

NO_RATE = 0.0  # of images whose data set does not say theirs


def throughput(clips: Clips, batch: int, workers: int, count: int) -> float:
    """Clips a second of a loader over the first ``count`` clips, without its first batch."""
    keys = [[(i, 0) for i in part.tolist()] for part in torch.arange(count).split(batch)]
    loader = DataLoader(clips, batch_sampler=keys, num_workers=workers)
    seen, began = 0, 0.0
    with tqdm(total=count, desc=f"{workers} workers", unit="clip", disable=None) as bar:
        for place, (frames, _) in enumerate(loader):
            bar.update(len(frames))
            if place == 0:
                began = time.perf_counter()
                continue
            seen += len(frames)
    return seen / max(1e-9, time.perf_counter() - began)


def write_list(path: Path, source: Source) -> int:
    """Write the clips of every split that has some as a list; gives their number.

    A split that another one stands in for is not written twice. Images have the data set's rate;
    where it has none, as in a plain folder, the list has none and a model takes them for its own.
    """
    found: dict[str, Listing] = {}
    labels: list[str] | None = None
    for split in SPLITS:
        try:
            one = listing(source, split, labels, NO_RATE)
        except BadInput:
            if split == "train":  # every data set has it
                raise
            continue
        labels = one.labels
        if one.split == split:
            found[split] = one
    return clip_list.write(path, found.values())


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; see ``--help``."""
    parser = Parser(
        prog="python -m core.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    add = parser.add_argument
    add(
        "--write-list", type=Path, metavar="FILE",
        help="write the clips of all splits as a list, and stop",
    )  # fmt: skip
    add("--workers", type=whole(0), nargs="+", default=[0, 2, 4], help="loader processes to try")
    add("--clips", type=whole(2), default=256, help="clips to read for each")
    add("--batch", type=whole(1), default=16)
    add("--frames", type=whole(1), default=8)
    add("--size", type=whole(LEAST_SIZE), default=224)
    add("--frame-rate", type=positive, default=10.0, help="of windows")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    args = parse(argv)
    if args.data is None:
        raise BadInput("nothing to read: give a folder of clips with --data DIR")
    source = source_of(args)
    if args.write_list:
        check_file("--write-list", args.write_list)
        print(f"{write_list(args.write_list, source)} clips in {args.write_list}")
        return 0
    config = ModelConfig(
        causal=False, size=args.size, frames=args.frames, frame_rate=args.frame_rate
    )
    data = open_records(source, "train", config, train=True)
    print(f"{Path(args.data)}: {source.kind}, {len(data.labels)} classes")
    print(f"train: {len(data)} clips, {len(data.broken)} missing")
    for split in ("val", "test"):
        try:
            found = listing(source, split, data.labels, args.frame_rate)
        except BadInput as error:  # a folder need not have every split
            print(f"{split}: {error}")
            continue
        if found.split == split:
            print(f"{split}: {len(found.records)} clips, {len(found.missing)} missing")
    count = min(args.clips, len(data))
    batch = min(args.batch, max(1, count // 2))  # the first batch is not counted
    for workers in args.workers:
        rate = throughput(data, batch, workers, count)
        print(f"{workers} workers: {rate:.1f} clips/s of {args.frames} x {args.size} x {args.size}")
    return 0


if __name__ == "__main__":
    run_main(main)
