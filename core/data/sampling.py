"""Which frames of a clip a model sees: one of each of T equal segments, or T in a row.

Segments are the papers' sampling (TSN, Wang et al., ECCV 2016, section 3.1): they span the clip,
however long it is. Windows are what a stream sees: a steady frame rate and no knowledge of where
the clip begins. Bidirectional models are trained on segments, causal ones on windows.
"""

from collections.abc import Sequence

import numpy as np

from core.data.rate import at_rate


def default_kind(causal: bool) -> str:
    """The sampling of a model that nothing was said about."""
    return "windows" if causal else "segments"


def window(count: int, frames: int, start: int | None = None) -> np.ndarray:
    """Indices of ``frames`` consecutive frames out of ``count``, the centre ones by default.

    A shorter clip is padded with its first and last frame, symmetrically, the odd one at the end.
    """
    if start is None or count < frames:
        start = (count - frames) // 2 if count >= frames else -((frames - count) // 2)
    return np.clip(np.arange(start, start + frames), 0, count - 1)


def segments(
    count: int, frames: int, random: np.random.Generator | None = None, part: float = 0.5
) -> np.ndarray:
    """One index out of each of ``frames`` equal segments of a clip of ``count`` frames.

    A random one of each segment, or the one at ``part`` (0 to 1) of every segment: the centres. A
    clip with fewer frames than segments repeats them in order.
    """
    within = part if random is None else random.random(frames)
    places = (np.arange(frames) + within) * count / frames
    return np.minimum(places.astype(np.int64), count - 1)


def choose(
    times: Sequence[float],
    kind: str,
    frames: int,
    rate: float,
    random: np.random.Generator | None = None,
    clips: int = 1,
) -> np.ndarray:
    """Indices ``(clips, frames)`` into a recording whose frames have these ``times`` in seconds.

    With ``random`` one random clip; without, ``clips`` that are spread evenly and always the same,
    one clip being the centre. ``rate`` is that of windows, in frames a second.
    """
    if kind == "segments":
        if random is not None:
            return segments(len(times), frames, random)[None]
        parts = (np.arange(clips) + 0.5) / clips
        return np.stack([segments(len(times), frames, part=part) for part in parts])
    steady = np.fromiter(at_rate(zip(times, range(len(times)), strict=True), rate), np.int64)
    spare = len(steady) - frames
    if random is not None:
        start = int(random.integers(spare + 1)) if spare > 0 else None
        return steady[window(len(steady), frames, start)][None]
    if clips == 1 or spare <= 0:
        return np.repeat(steady[window(len(steady), frames)][None], clips, 0)
    starts = np.linspace(0, spare, clips).round().astype(int)
    return np.stack([steady[window(len(steady), frames, int(start))] for start in starts])
