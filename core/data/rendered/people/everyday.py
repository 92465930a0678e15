"""What hands do that make no gesture: where they rest, and everyday errands of hands.

Places are metres for a right hand (x < 0 is the person's right); a left hand is the mirror image.
"""

import numpy as np

from core.data.rendered.gestures import (
    FIST,
    FLAT,
    OPEN,
    POINT,
    RELAXED,
)
from core.data.rendered.people.arm import unit

PINCH = ((0.55, 0.7, 0.75, 0.8), 0.1, 0.2, 0.1, 0.9)
GRIP = ((0.6, 0.6, 0.65, 0.65), 0.1, 0.5, 0.3, 0.6)
# (place from the base of the skull, does the palm face the head, shape of the fingers)
ERRANDS = (
    ((-0.10, 0.06, -0.11), True, RELAXED),  # hair at the temple, an ear
    ((-0.07, 0.14, -0.09), True, FLAT),  # hair above
    ((-0.02, -0.07, -0.16), True, FIST),  # chin
    ((-0.03, 0.04, -0.19), True, PINCH),  # glasses
    ((-0.12, 0.02, -0.03), True, FLAT),  # nape
    ((-0.02, -0.02, -0.22), True, GRIP),  # drinks
    ((-0.06, -0.30, -0.20), True, FLAT),  # scratches the chest
    ((-0.42, -0.08, -0.20), False, RELAXED),  # reaches aside
    ((-0.10, -0.40, -0.42), False, RELAXED),  # types, low
    ((-0.18, 0.30, -0.02), True, OPEN),  # stretches
    ((0.08, -0.25, -0.22), True, FLAT),  # the other shoulder or arm
    ((-0.20, -0.10, -0.50), False, POINT),  # points at the screen
    ((-0.11, 0.00, -0.07), True, GRIP),  # phone at the ear
    ((-0.06, -0.16, -0.36), True, GRIP),  # looks at a phone
    ((-0.03, 0.06, -0.17), True, FIST),  # rubs an eye
    ((-0.02, 0.11, -0.17), True, FLAT),  # wipes the forehead
    ((-0.03, -0.14, -0.15), True, PINCH),  # collar, necklace
    ((-0.07, -0.02, -0.15), True, OPEN),  # cheek
    ((-0.01, 0.00, -0.19), True, PINCH),  # nose
    ((-0.26, -0.26, -0.38), False, GRIP),  # a mouse, a cup on the desk
    ((0.00, -0.34, -0.26), True, FIST),  # hands together before the chest
    ((-0.24, -0.12, -0.34), False, OPEN),  # shrugs
)
CHIN = 2
# Where hands rest, from the shoulder; fingers and thumb side as in ``gestures``.
RESTS = (
    ((0.06, -0.47, -0.26), (0.2, -0.5, -1.0), (1.0, 0.0, 0.0)),  # lap
    ((0.07, -0.33, -0.38), (0.2, -0.1, -1.0), (1.0, 0.1, 0.1)),  # keyboard
    ((-0.04, -0.55, -0.04), (0.0, -1.0, -0.1), (0.2, -0.1, -1.0)),  # hangs
    ((0.16, -0.36, -0.20), (1.0, -0.1, -0.2), (0.0, 1.0, 0.1)),  # before the belly
    ((0.24, -0.22, -0.17), (1.0, 0.2, -0.1), (-0.2, 1.0, 0.0)),  # arms crossed
    ((-0.12, -0.42, -0.24), (0.0, -0.2, -1.0), (1.0, 0.0, 0.0)),  # armrest
)
REST_CHANCE = np.array([0.34, 0.27, 0.12, 0.12, 0.05, 0.10])


def frames(fingers: np.ndarray, thumb: np.ndarray) -> np.ndarray:
    """Hand frames (..., 3, 3) with columns thumb side, fingers, back, of directions (..., 3)."""
    along = unit(fingers)
    across = unit(thumb - (thumb * along).sum(-1, keepdims=True) * along)
    return np.stack([across, along, np.cross(across, along)], -1)


def mirrored(turn: np.ndarray) -> np.ndarray:
    """Frames of a right hand as frames of a left hand that is its mirror image."""
    return turn * np.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]])


def blend(
    palm: np.ndarray, hand: np.ndarray, palm2: np.ndarray, hand2: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Between two palms and two hand frames; frames are mixed and made orthonormal again."""
    palm = palm + (palm2 - palm) * weight[:, None]
    mixed = hand + (hand2 - hand) * weight[:, None, None]
    return palm, frames(mixed[..., 1], mixed[..., 0])


def errands(
    rng: np.random.Generator, times: np.ndarray, side: str, head: np.ndarray, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A hand that goes from one place to another: palms (T, 3), frames (T, 3, 3), shapes (T, 8)."""
    clock = times[0] - rng.uniform(0, 1.0)
    starts, chosen = [clock], [int(rng.integers(len(ERRANDS)))]
    while clock < times[-1]:
        clock += rng.uniform(0.4, 1.8)
        stay = rng.random() < 0.4
        starts.append(clock)
        chosen.append(chosen[-1] if stay else int(rng.integers(len(ERRANDS))))
    knots, stops = np.array(starts), np.array(chosen)
    index = np.clip(np.searchsorted(knots, times, "right") - 1, 0, len(knots) - 2)
    x = (times - knots[index]) / (knots[index + 1] - knots[index])
    x = np.clip(x * 1.6, 0, 1)
    x = x**3 * (10 - 15 * x + 6 * x * x)
    first, second = (towards(stops[i], side, head, turn) for i in (index, index + 1))
    palm, hand = blend(*first[:2], *second[:2], x)
    # At an errand hands are not still: they scratch, talk, type.
    beat, size = rng.uniform(1.0, 4.0, 3), rng.uniform(0, 0.02, 3)
    palm = palm + size * np.sin(2 * np.pi * beat * times[:, None] + rng.uniform(0, 6, 3))
    shape = first[2] + (second[2] - first[2]) * x[:, None]
    tap = rng.uniform(0, 0.25) * np.sin(2 * np.pi * rng.uniform(1, 4) * times[:, None]
                                        + rng.uniform(0, 6, 4))  # fmt: skip
    shape[:, :4] = np.clip(shape[:, :4] + tap, 0, 1)
    return palm, hand, shape


def towards(
    stops: np.ndarray, side: str, head: np.ndarray, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Palms, hand frames and finger shapes at ``stops`` (T,) of ``ERRANDS``."""
    mirror = np.array([1.0 if side == "R" else -1.0, 1.0, 1.0])
    offset = np.array([place for place, *_ in ERRANDS])[stops] * mirror
    palm = head + np.einsum("tij,tj->ti", turn, offset)
    facing = np.array([flag for _, flag, _ in ERRANDS])[stops]
    back = np.where(facing[:, None], unit(offset - [0, 0.02, 0]), [0.0, 1.0, 0.0])
    along = np.where(facing[:, None], np.array([0.45, 0.9, 0.1]) * mirror, [0.0, 0.1, -1.0])
    along = unit(along - (along * back).sum(-1, keepdims=True) * back)
    turned = np.stack([np.cross(along, back), along, back], -1)
    shape = np.array([[*flexion, *rest] for *_, (flexion, *rest) in ERRANDS])[stops]
    return palm, turn @ turned, shape
