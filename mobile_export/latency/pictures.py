"""The camera pictures that are measured on: uint8 RGB (n, H, W, 3), used in turn."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from core.data.video import Unreadable, at_rate_pixels
from core.errors import BadInput
from mobile_export.bundle.reader import Bundle

WIDTH, HEIGHT = 640, 480  # what a camera gives an app that asks for little
MOST_FRAMES = 64
MOST_BYTES = 64 * 2**20  # they lie in the memory of the process that is measured


@dataclass(frozen=True)
class Pictures:
    """``pixels`` and what a report says of them."""

    pixels: np.ndarray
    source: str

    def to_dict(self) -> dict:
        """The schema's ``input``."""
        frames, height, width, _ = self.pixels.shape
        return {"source": self.source, "width": width, "height": height, "frames": frames}


def frames_a_call(bundle: Bundle) -> int:
    """Pictures that go into one call: 1 for a stream."""
    manifest = bundle.manifest
    return 1 if manifest["form"] == "stream" else manifest["input"]["shape"][0]


def choose(bundle: Bundle, video: Path | None) -> Pictures:
    """Frames of ``video``, or the golden clip's.

    In clip form they are a whole number of clips, or fewer than one, which are repeated.
    Raises ``BadInput`` for a video that cannot be read.
    """
    found = from_golden(bundle) if video is None else from_video(bundle, video)
    whole = len(found.pixels) // frames_a_call(bundle) * frames_a_call(bundle)
    return Pictures(found.pixels[:whole] if whole else found.pixels, found.source)


def from_golden(bundle: Bundle) -> Pictures:
    """The golden clip as a camera would give it, since pre-processing is a part of the time.

    Its frames are enlarged to the height of the picture, which pre-processing takes out of its
    middle again; the sides continue the frames' edges.
    """
    frames = torch.from_numpy(bundle.golden("pixels"))  # (T, 3, S, S)
    middle = F.interpolate(frames.float(), size=(HEIGHT, HEIGHT), mode="bilinear")
    side = (WIDTH - HEIGHT) // 2
    whole = F.pad(middle, (side, side, 0, 0), mode="replicate").round().clamp(0, 255).byte()
    pixels = whole.permute(0, 2, 3, 1).contiguous().numpy()  # (T, H, W, 3)
    return Pictures(pixels, f"golden clip, enlarged to {WIDTH}x{HEIGHT}")


def from_video(bundle: Bundle, path: Path) -> Pictures:
    """The first frames of a file at the model's rate, in the file's own size.

    Raises ``BadInput`` when there are none that can be read.
    """
    try:
        frames = at_rate_pixels(path, bundle.manifest["input"]["frame_rate"])
        first = next(frames, None)
        if first is None:
            raise Unreadable("no video frame in it")
        most = max(1, min(MOST_FRAMES, MOST_BYTES // first.nbytes))
        kept = [first, *itertools.islice(frames, most - 1)]
        if any(frame.shape != first.shape for frame in kept):
            raise Unreadable("its frames change their size")
    except Unreadable as error:
        raise BadInput(
            f"--source {path} cannot be read ({error}): give a video file, or leave it out to "
            "measure on the golden clip"
        ) from None
    return Pictures(np.stack(kept), path.name)
