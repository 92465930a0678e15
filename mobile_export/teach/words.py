"""The figures of a job in words."""

from collections import Counter

from mobile_export.teach.folder import Clip


def counts(clips: list[Clip]) -> str:
    """How many of each class, of how many sessions."""
    sizes = Counter(clip.label for clip in clips)
    sessions = len({clip.session for clip in clips})
    named = ", ".join(f"{label} {count}" for label, count in sizes.items())
    return f"{named}; {sessions} session{'' if sessions == 1 else 's'}"


def accuracy(judged: dict) -> str:
    """Of held-out clips, with its interval."""
    if judged["accuracy"] is None:
        return "nothing could be held out"
    low, high = judged["interval"]
    return (
        f"{judged['accuracy']:g} % of {judged['clips']} clips (95 %: {low:g} to {high:g}), held "
        f"out by {judged['by']}"
    )


def rule(decision: dict) -> str:
    """The numbers that were chosen, and what they gave."""
    got = decision["chosen"]
    return (
        f"threshold {decision['threshold']:g}, {decision['agree']} frames agree: "
        f"{got['recognised']} of {got['gestures']} gestures, {got['false_events']} false events in "
        f"{got['minutes']:g} minutes ({got['false_a_minute']:g} a minute, at most "
        f"{got['false_a_minute_at_most']:g} by what was seen)"
    )


def known(found: dict) -> str:
    """What the gestures of the base lost."""
    return (
        f"{found['after']:g} % of {found['clips']} rendered clips of the known gestures, "
        f"{found['before']:g} % before: {found['lost']} lost, {found['won']} won"
    )


def summary(report: dict) -> str:
    """The confusion matrix as text."""
    judged = report["judged"]
    width = max(len(name) for name in judged["labels"])
    rows = []
    for name, row in zip(judged["labels"], judged["confusion"], strict=True):
        if any(row):
            rows.append(f"{name:{width}} " + " ".join(f"{n:4d}" for n in row))
    return "\n".join(rows)
