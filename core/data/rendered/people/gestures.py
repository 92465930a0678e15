"""The 27 gestures as people make them: raised from rest, performed by wrist, elbow or shoulder.

A *track* maps progress s in [0, 1] to rows of ``POSE`` numbers that say what both hands do. Lengths
are metres, directions unit vectors, for a right hand whose person looks at the camera: x to the
image's right (across the body), y up, z away from the camera. A left hand is the mirror image.

Directions are those of the person who gestures: a swipe to one's own left moves to the image's
right. Turning is the exception: clockwise is as the image shows it. Zooming in opens the fingers.
Nothing is exactly symmetric in time here; the capsules keep that, for tests of temporal modules.
"""

import numpy as np

from core.data.rendered.gestures import (
    CLAW,
    FIST,
    FLAT,
    FOUR,
    HORNS,
    OPEN,
    POINT,
    RELAXED,
    THUMB,
    TWO,
    Track,
)  # fmt: skip
from core.data.rendered.people.arm import about, unit
from core.labels import NO_GESTURE, OTHER

PLACE, FINGERS, THUMB_SIDE, SHAPE = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 17)
ONE = 17  # numbers of one hand; the other's follow
BOTH, DOWN = 34, 35  # how much the other hand takes part; how much the hand rests
POSE = 36
X, Y, Z = np.eye(3)

# What moves: metres and degrees of turning, relative to the usual.
STYLES = {"wrist": ((0.25, 0.55), (35, 65)), "elbow": ((0.6, 1.1), (15, 45)),
          "shoulder": ((0.9, 1.5), (0, 20))}  # fmt: skip
# (fingers, thumb side) of a right hand.
PALM_OUT = ((0.0, 1.0, -0.12), (1.0, 0.0, 0.0))
PALM_OUT_INWARD = ((0.65, 0.75, -0.15), (0.75, -0.65, 0.1))
CHOP = ((0.05, 0.8, -0.6), (0.0, 0.6, 0.8))  # palm across the body
SHAKE = ((0.15, 0.1, -1.0), (0.0, 1.0, 0.1))  # as to shake hands
PALM_IN = ((0.9, 0.2, -0.4), (-0.2, 1.0, 0.0))  # the forearm across, palm to oneself
PALM_IN_UP = ((0.25, 0.95, -0.1), (-1.0, 0.25, 0.2))  # fingers up, palm to oneself
FLAT_AHEAD = ((0.15, 0.15, -1.0), (1.0, 0.0, 0.15))  # palm down, fingers to the camera
FLAT_ACROSS = ((0.95, 0.05, -0.35), (0.35, 0.0, 0.95))  # palm down, fingers across
PALM_UP = ((0.3, 0.1, -1.0), (-1.0, 0.1, -0.3))
TALK = (RELAXED, OPEN, POINT, CLAW, FLAT)
WANDER_SHAPES = (FIST, RELAXED, POINT, FOUR, HORNS, OPEN, FLAT, TWO, CLAW)


def hand(shape: tuple, base: tuple = PALM_OUT, place: tuple = (0.0, 0.0, 0.0)) -> np.ndarray:
    """One hand (17,): fingers' shape as in ``rendered.gestures``, frame, place."""
    flexion, *rest = shape
    return np.array([*place, *base[0], *base[1], *flexion, *rest], float)


def alone(rows: np.ndarray, down: float = 0.0) -> np.ndarray:
    """Rows (n, 17) of one hand to (n, POSE)."""
    still = np.tile(hand(RELAXED, FLAT_ACROSS), (len(rows), 1))
    flags = np.tile([0.0, down], (len(rows), 1))
    return np.concatenate([rows, still, flags], 1)


def turned(rows: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rows with the hand turned by ``angle`` (n,) about ``axis`` (3,) of the world."""
    turn = about(axis, angle)
    rows = rows.copy()
    for part in (FINGERS, THUMB_SIDE):
        rows[:, part] = np.einsum("nij,nj->ni", turn, rows[:, part])
    return rows


def varied(base: tuple, rng: np.random.Generator, degrees: float) -> tuple:
    """A frame turned a little about a random axis."""
    turn = about(unit(rng.normal(size=3)), np.radians([rng.normal() * degrees]))[0]
    return tuple(turn @ unit(np.array(base[0]))), tuple(turn @ unit(np.array(base[1])))


def _between(a: np.ndarray, b: np.ndarray, s: np.ndarray) -> np.ndarray:
    return a + (b - a) * s[:, None]


def _choose(rng: np.random.Generator, options: tuple, chances: tuple) -> tuple:
    return options[rng.choice(len(options), p=np.array(chances) / sum(chances))]


def _sweep(
    shape: tuple, base: tuple, along: np.ndarray, reach: float, turns: list,
    rng: np.random.Generator,
) -> Track:  # fmt: skip
    """A stroke along ``along`` over ``reach`` metres either way, with a bulge towards the camera.

    ``turns`` are (axis, radians at the start, at the end).
    """
    bulge, lift = rng.uniform(0, 0.35) * reach, rng.normal() * 0.12 * reach
    slant = np.cross(along, Z) * rng.normal() * 0.15 * reach
    start = hand(shape, base)

    def track(s: np.ndarray) -> np.ndarray:
        rows = np.tile(start, (len(s), 1))
        way = 2 * s - 1
        rows[:, PLACE] = way[:, None] * (along * reach + slant)
        rows[:, 2] -= bulge * (1 - way**2)
        rows[:, 1] += lift * (1 - way**2)
        for axis, first, last in turns:
            rows = turned(rows, axis, first + (last - first) * s)
        return alone(rows)

    return track


def gesture_track(label: str, rng: np.random.Generator) -> Track:
    """The motion of a class for a right hand, in its forward direction, around the origin.

    Only the first class of each pair of ``TIME_PAIRS`` that has no motion of its own is known;
    raises ``KeyError`` for another label.
    """
    u = rng.uniform
    style = rng.choice(list(STYLES), p=[0.25, 0.5, 0.25])
    (near, far), (least, most) = STYLES[style]
    bases: tuple[tuple, ...]
    chances: tuple[float, ...]
    scale, pivot = u(near, far) * u(0.75, 1.3), np.radians(u(least, most))
    if label in ("Swiping Left", "Swiping Right"):
        # Either way by the same motions, but people lead with the palm or with the back.
        bases = (PALM_OUT, CHOP, SHAKE, PALM_IN, PALM_OUT_INWARD)
        chances = (3, 3, 2, 1.5, 0.5) if label == "Swiping Left" else (3, 2, 1.5, 2.5, 1.5)
        base = varied(_choose(rng, bases, chances), rng, 10)
        upright = base[0][1] > 0.5
        turns = [(Z if upright else Y, pivot, -pivot), (Y, 0.5 * pivot, -0.5 * pivot)]
        shape = _choose(rng, (FLAT, OPEN, RELAXED), (5, 3, 2))
        track = _sweep(shape, base, X, 0.20 * scale, turns, rng)
        return track if label == "Swiping Left" else reversed_track(track)
    if label in ("Swiping Down", "Swiping Up"):
        bases = (PALM_OUT, FLAT_AHEAD, FLAT_ACROSS, PALM_UP, PALM_IN_UP)
        chances = (3, 3, 3, 0, 0.3) if label == "Swiping Down" else (2.5, 1.5, 1.5, 2.5, 0.7)
        base = varied(_choose(rng, bases, chances), rng, 10)
        turns = [(X, 0.5 * pivot, -pivot)]
        shape = _choose(rng, (FLAT, OPEN, RELAXED), (5, 3, 2))
        track = _sweep(shape, base, -Y, 0.16 * scale, turns, rng)
        return track if label == "Swiping Down" else reversed_track(track)
    if label == "Sliding Two Fingers Left":
        base = _choose(rng, (PALM_OUT, FLAT_AHEAD, CHOP, PALM_IN, SHAKE), (4, 3, 1, 1.5, 1))
        turns = [(Z if base[0][1] > 0.5 else Y, 0.7 * pivot, -0.7 * pivot)]
        return _sweep(_two(rng), varied(base, rng, 10), X, 0.14 * scale, turns, rng)
    if label == "Sliding Two Fingers Down":
        base = _choose(rng, (PALM_OUT, FLAT_AHEAD, FLAT_ACROSS, PALM_IN), (4, 3, 2, 1))
        turns = [(X, 0.4 * pivot, -0.8 * pivot)]
        return _sweep(_two(rng), varied(base, rng, 10), -Y, 0.13 * scale, turns, rng)
    if label in ("Pushing Hand Away", "Pulling Hand In"):
        bases = (PALM_OUT, PALM_IN_UP, FLAT_AHEAD, PALM_IN, PALM_UP)
        chances = (8, 0.3, 1, 0.5, 0) if label.startswith("Push") else (2.5, 4, 0.7, 2, 1.5)
        base = varied(_choose(rng, bases, chances), rng, 10)
        turns = [(X, 0.3 * pivot * u(-1, 1), -0.4 * pivot * u(0, 1))]
        shape = _choose(rng, (FLAT, OPEN, RELAXED), (4, 4, 2))
        track = _sweep(shape, base, -Z, u(0.08, 0.17), turns, rng)
        return track if label.startswith("Push") else reversed_track(track)
    if label in ("Pushing Two Fingers Away", "Pulling Two Fingers In"):
        bases = (PALM_OUT, FLAT_AHEAD, PALM_IN_UP, PALM_UP, PALM_IN)
        chances = (4, 4, 0.3, 0, 0.5) if label.startswith("Push") else (2, 2, 3, 1.5, 1.5)
        base = varied(_choose(rng, bases, chances), rng, 10)
        turns = [(X, 0.3 * pivot * u(-1, 1), -0.5 * pivot * u(0, 1))]
        track = _sweep(_two(rng), base, -Z, u(0.07, 0.16), turns, rng)
        return track if label.startswith("Push") else reversed_track(track)
    if label == "Rolling Hand Forward":
        return _roll(rng)
    if label == "Turning Hand Clockwise":
        fingers = unit(np.array([u(-0.1, 0.4), u(0.0, 1.3), -u(0.5, 1.0)]))
        thumb = np.array([0.1, 1.0, 0.3]) if fingers[1] < 0.6 else np.array([0.3, 0.3, 1.0])
        start = hand(_choose(rng, (CLAW, OPEN, RELAXED, FLAT), (5, 2, 2, 1)), (fingers, thumb))
        sweep, middle = np.radians(u(30, 75)), np.radians(u(-25, 25))

        def turn(s: np.ndarray) -> np.ndarray:
            rows = np.tile(start, (len(s), 1))
            return alone(turned(rows, fingers, middle + sweep * (2 * s - 1)))

        return turn
    if label.startswith("Zooming In"):
        return _zoom("Full" in label, rng)
    if label in ("Drumming Fingers", "Shaking Hand"):
        return _beats(label, rng)
    if label == "Stop Sign":
        push, base = u(0, 0.12), varied(PALM_OUT, rng, 8)
        held = hand(_choose(rng, (FLAT, OPEN), (3, 1)), base)

        def stop(s: np.ndarray) -> np.ndarray:
            rows = np.tile(held, (len(s), 1))
            rows[:, 2] += push * (0.5 - np.minimum(s / 0.25, 1))
            return alone(rows)

        return stop
    if label in ("Thumb Up", "Thumb Down"):
        up = 1.0 if label == "Thumb Up" else -1.0
        base = varied(((u(0.3, 1.2), u(-0.1, 0.3) * up, -u(0.2, 1.0)), (-0.1, up, 0.15)), rng, 9)
        held, bob, beat = hand(THUMB, base), u(0, 0.02), u(0, 12)

        def thumb_held(s: np.ndarray) -> np.ndarray:
            rows = np.tile(held, (len(s), 1))
            rows[:, 1] += bob * np.sin(beat * s) * up
            return alone(rows)

        return thumb_held
    if label == OTHER:
        return _wander(rng)
    if label == NO_GESTURE:
        low = 1.0 if rng.random() < 0.85 else u(0.35, 0.7)
        rows = hand(RELAXED, varied(FLAT_AHEAD, rng, 25), (u(-0.1, 0.1), u(-0.1, 0), 0))[None]
        return lambda s: np.tile(alone(rows, low), (len(s), 1))
    raise KeyError(f"{label!r} has no track of its own")


def _two(rng: np.random.Generator) -> tuple:
    """Index and middle finger, side by side or as a V."""
    flexion, _, *thumb = TWO
    return (flexion, rng.choice([0.1, 0.35, 0.8]), *thumb)


def reversed_track(track: Track) -> Track:
    """The motion run backwards."""
    return lambda s: track(1 - s)


def _roll(rng: np.random.Generator) -> Track:
    """Forearms that go round each other before the chest, or one hand that goes round."""
    u = rng.uniform
    both = float(rng.random() < 0.6)
    radius, deep = u(0.045, 0.11), u(0.8, 1.4)
    turns, start = u(1.2, 2.4), u(0, 2 * np.pi)
    base = varied(PALM_IN if both or rng.random() < 0.5 else PALM_OUT, rng, 12)
    shape = _choose(rng, (((0.55, 0.6, 0.6, 0.6), 0.1, 0.3, 0.4, 0.0), FIST, POINT, FLAT),
                    (4, 2, 2, 2))  # fmt: skip
    tilt = u(0.1, 0.6) * (1 - 0.6 * both)

    def one(s: np.ndarray, offset: float) -> np.ndarray:
        phase = start + offset + 2 * np.pi * turns * s
        rows = np.tile(hand(shape, base, (-0.03 * both, 0, 0)), (len(s), 1))
        rows[:, 1] += radius * np.cos(phase)
        rows[:, 2] -= deep * radius * np.sin(phase)
        return turned(rows, X, -tilt * np.sin(phase))

    def track(s: np.ndarray) -> np.ndarray:
        flags = np.tile([both, 0.0], (len(s), 1))
        return np.concatenate([one(s, 0.0), one(s, np.pi), flags], 1)

    return track


def _zoom(full: bool, rng: np.random.Generator) -> Track:
    """Fingers that open: all of them, or thumb and index."""
    u = rng.uniform
    if full:
        closed = _choose(rng, (((0.62, 0.62, 0.62, 0.62), 0.1, 0.3, 0.1, 0.9),
                               ((0.85, 0.9, 0.9, 0.9), 0.1, 0.2, 0.7, 0.3)), (2, 1))  # fmt: skip
        opened = OPEN
    else:
        curl = u(0.8, 1.0)
        closed = ((u(0.35, 0.5), curl, curl, curl), 0.0, 0.2, 0.0, 1.0)
        opened = ((u(0.0, 0.15), curl, curl, curl), 0.0, 1.0, 0.0, 0.0)
    base = varied(_choose(rng, (PALM_OUT, FLAT_AHEAD, SHAKE, PALM_IN, PALM_OUT_INWARD),
                           (5, 1.5, 1.5, 1.5, 1)), rng, 12)  # fmt: skip
    first, last = hand(closed, base), hand(opened, base)
    push = u(-0.04, 0.08)
    last[2] -= push

    return lambda s: alone(_between(first, last, s))


def _beats(label: str, rng: np.random.Generator) -> Track:
    """Drumming or shaking: the same again and again."""
    u = rng.uniform
    start, beats = u(0, 2 * np.pi), u(1.8, 4.5)
    if label == "Drumming Fingers":
        base = varied(_choose(rng, (FLAT_AHEAD, FLAT_ACROSS, PALM_OUT), (5, 2, 2)), rng, 12)
        held = hand(RELAXED, base)
        lag, depth, middle = rng.choice([-1, 1]) * u(0.7, 1.5), u(0.18, 0.38), u(0.2, 0.4)

        def drum(s: np.ndarray) -> np.ndarray:
            rows = np.tile(held, (len(s), 1))
            phase = start + 2 * np.pi * 1.4 * beats * s[:, None] + lag * np.arange(4)
            rows[:, 9:13] = middle + depth * np.sin(phase)
            return alone(rows)

        return drum
    base = varied(_choose(rng, (PALM_OUT, CHOP, FLAT_AHEAD, SHAKE), (6, 2, 1.5, 1)), rng, 10)
    held = hand(_choose(rng, (OPEN, FLAT, RELAXED), (3, 2, 2)), base)
    swing, sway = np.radians(u(12, 35)), u(0.0, 0.06)
    axes = (Z, unit(np.array(base[0])), X)
    which = rng.choice(3, p=[0.6, 0.25, 0.15])
    axis, move = axes[which], Y if which == 2 else X

    def shake(s: np.ndarray) -> np.ndarray:
        wave = np.sin(start + 2 * np.pi * beats * s)
        rows = turned(np.tile(held, (len(s), 1)), axis, swing * wave)
        rows[:, PLACE] -= sway * wave[:, None] * move
        return alone(rows)

    return shake


def _wander(rng: np.random.Generator) -> Track:
    """Hands that do something without meaning, as when one talks: quick goals, any shape."""
    stops = rng.integers(2, 5)
    talk = rng.random() < 0.5
    bases = (PALM_OUT, CHOP, SHAKE, PALM_IN, PALM_IN_UP, FLAT_AHEAD, FLAT_ACROSS, PALM_UP)
    shapes = TALK if talk else WANDER_SHAPES
    size = rng.uniform(0.02, 0.14)

    def goal() -> np.ndarray:
        return hand(
            shapes[rng.integers(len(shapes))], varied(bases[rng.integers(len(bases))], rng, 20),
            tuple(rng.normal(size=3) * [size, size, 0.6 * size]),
        )  # fmt: skip

    first = goal()
    path = [first]
    for _ in range(stops):
        following = goal()
        keep = rng.uniform(0, 0.8)  # people do not change everything at once
        path.append(path[-1] * keep + following * (1 - keep))
    goals = np.array(path)
    second = goals * np.where(np.arange(ONE) < 3, rng.uniform(-1, 1.2), 1.0)
    flags = np.array([float(rng.random() < 0.4), 0.0])
    pause = rng.uniform(0.2, 0.8)

    def track(s: np.ndarray) -> np.ndarray:
        way = s * (len(goals) - 1)
        index = np.minimum(way.astype(int), len(goals) - 2)
        x = np.clip((way - index) / pause, 0, 1)[:, None]
        x = x**3 * (10 - 15 * x + 6 * x * x)
        one = goals[index] + (goals[index + 1] - goals[index]) * x
        two = second[index] + (second[index + 1] - second[index]) * x
        return np.concatenate([one, two, np.tile(flags, (len(s), 1))], 1)

    return track
