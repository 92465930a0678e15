"""What to do about it: the clips and the judgement in words, one line each."""

from collections import Counter
from collections.abc import Sequence

from core.decision import idle_labels
from core.evaluation.report import UNEVEN
from mobile_export.teach.crossval import Judgement
from mobile_export.teach.folder import Clip

FEW = 10  # clips of a class
GOOD = 20
SURE = 0.9  # probability of no gesture above which a clip of one is doubted
MOST_NAMED = 5  # clips


def of_clips(clips: Sequence[Clip]) -> list[str]:
    """What the folder alone shows."""
    told = []
    sizes = Counter(clip.label for clip in clips)
    if not idle_labels(sorted(sizes)):
        told.append(
            "no class is 'No gesture': record what you do between gestures under that name, or "
            "rest will be taken for one"
        )
    for label, count in sizes.items():
        if count < FEW:
            told.append(f"{label!r} has {count} clips: {GOOD} are a good start")
    (most, large), (least, small) = sizes.most_common()[0], sizes.most_common()[-1]
    if large >= UNEVEN * small:
        told.append(
            f"{most!r} has {large} clips and {least!r} {small}: both are trained alike, and more "
            f"of {least!r} help most"
        )
    return told


def of_judgement(judgement: Judgement) -> list[str]:
    """What the held-out answers show: how far they go, what is confused, clips to look at."""
    told = of_sessions(judgement)
    worst = judgement.to_dict()["most_confused"]
    if worst:
        first = worst[0]
        number = first["clips"]
        count = "one clip" if number == 1 else f"{number} clips"
        told.append(
            f"confused most: {first['class']!r} was called {first['called']!r} in {count}; make "
            "them differ more, or record more of both"
        )
    return told + doubts(judgement)


def of_sessions(judgement: Judgement) -> list[str]:
    """What could not be judged by clips of another session."""
    if not judgement.by_session:
        return [
            "every gesture is of one session: its clips resemble each other, and the accuracy is "
            "not that of another day; record some more later, in other clothes or another room"
        ]
    pairs = zip(judgement.clips, judgement.counted, strict=True)
    single = sorted({clip.label for clip, counted in pairs if not counted})
    names = ", ".join(repr(label) for label in single)
    told = f"of one session only, and so not judged: {names}; record more another time"
    return [told] if single else []


def doubts(judgement: Judgement) -> list[str]:
    """Clips of a gesture in which none was seen."""
    idle = [judgement.labels.index(name) for name in idle_labels(judgement.labels)]
    found = []
    for number, logits in sorted(judgement.logits.items()):
        clip = judgement.clips[number]
        chances = logits.mean(0).softmax(-1)
        if judgement.labels.index(clip.label) not in idle and idle:
            sure = float(chances[idle].sum())
            if sure >= SURE:
                found.append(clip)
    told = [
        f"{clip.label}/{clip.path.name} looks like no gesture: is there a hand in it?"
        for clip in found[:MOST_NAMED]
    ]
    if len(found) > MOST_NAMED:
        told.append(f"so do {len(found) - MOST_NAMED} more clips")
    return told
