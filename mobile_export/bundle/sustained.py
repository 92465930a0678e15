"""The points of a report's long run (``latency.schema.json``, ``sustained``)."""


def last_whole(points: list[dict]) -> dict:
    """The last point, or the one before where the end of the run cut it to a call or a few.

    Told by its time, not by its calls: a device that throttles has fewer of them in a whole second.
    """
    if len(points) > 1 and points[-1]["at_s"] - points[-2]["at_s"] < points[0]["at_s"] / 2:
        return points[-2]
    return points[-1]
