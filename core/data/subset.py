"""The first clips of a data set, spread over its classes."""

from typing import Any

from torch.utils.data import Subset

from core.data.clips import Clips


def first(clips: Clips, count: int | None) -> Clips:
    """At most ``count`` clips, evenly spaced over the data set; all of them without a count."""
    if count is None or count >= len(clips):
        return clips
    chosen: Any = Subset(clips, [i * len(clips) // count for i in range(count)])
    chosen.labels, chosen.broken = clips.labels, getattr(clips, "broken", [])
    for name in ("split", "views"):
        if hasattr(clips, name):
            setattr(chosen, name, getattr(clips, name))
    return chosen
