"""Synthetic gestures: the embedded data set, rendered from an articulated hand.

A *scene* draws everything that stays for one recording from one seed (the hand, the sleeve, the
room, the light, the camera); a time line of gestures says how the hand moves in it. Train,
validation and test have disjoint seeds, so no hand, room or motion occurs in two of them.

    python -m core.data.synthetic --sheet sheet.png
    python -m core.data.synthetic --write DIR --count 270
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.gestures import (
    LABELS,
    NO_GESTURE,
    OTHER,
    Segment,
    evaluate,
    segment,
)
from core.data.hand import CAPSULES, SLEEVE, HandShape, capsules
from core.data.render import Capsules, background_frames, compress, make_canvas, rasterise

# How much of everything varies. 1 is "default"; easy and hard scale the variation.
DIFFICULTY = {"easy": 0.5, "default": 1.0, "hard": 1.6}
SPLITS = ("train", "val", "test")
IGNORE = -1  # label of a frame from which no gesture can be known yet
KNOWN_FROM = 0.55  # part of a gesture after which it counts as known
KNOWN_AFTER = 3  # frames after its end during which it still counts
DISTRACTORS = 3
NOISE_SIDE = 512
POSE_TARGETS = 17


@dataclass
class Scene:
    """What stays the same through one recording."""

    shape: HandShape
    home: tuple[float, float, float]  # where gestures are performed, metres
    segments: list[Segment]
    colours: np.ndarray  # (CAPSULES + DISTRACTORS, 3)
    light: np.ndarray  # (3,) direction times strength
    distractors: np.ndarray  # (DISTRACTORS, 8): x, y, z, radius, and motion
    drift: np.ndarray  # (3, 3): amplitude, frequency, phase of the camera's x, y, zoom
    gain: np.ndarray  # (3,) exposure times white balance
    gamma: float
    noise: float
    quality: float
    defocus: float
    shutter: float  # seconds that a frame is exposed
    flicker: np.ndarray
    seed: int


def _seed(split: str, seed: int, index: int) -> np.random.SeedSequence:
    """Every (split, seed, index) has a stream of its own; splits never meet."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown: choose one of {', '.join(SPLITS)}")
    return np.random.SeedSequence([SPLITS.index(split), seed, index])


def make_scene(split: str, seed: int, index: int, variation: float) -> Scene:
    """Draw one scene; its ``segments`` are empty."""
    rng = np.random.default_rng(_seed(split, seed, index))
    v = variation

    def u(low: float, high: float) -> float:
        middle, half = (low + high) / 2, (high - low) / 2
        return float(middle + rng.uniform(-1, 1) * half * v)

    shape = HandShape(
        length=u(0.165, 0.195),
        thickness=u(0.88, 1.12),
        finger_length=u(0.92, 1.08),
        left=bool(rng.random() < 0.5),
        elbow=(u(-0.5, 0.3), u(0.0, 0.5)),
    )
    tone = rng.random()  # light to dark along a line through measured skin colours
    skin = np.array([0.95, 0.72, 0.58]) * (1 - tone) + np.array([0.32, 0.19, 0.13]) * tone
    skin = np.clip(skin * (1 + 0.06 * v * rng.normal(size=3)), 0.05, 1)
    colours = np.tile(skin, (CAPSULES + DISTRACTORS, 1))
    colours *= 1 + 0.04 * rng.normal(size=(len(colours), 1))
    colours[SLEEVE] = rng.uniform(0.03, 0.9, 3) if rng.random() < 0.75 else skin
    colours[CAPSULES:] = rng.uniform(0.05, 0.9, (DISTRACTORS, 3))
    direction = np.array([rng.uniform(-1, 1), rng.uniform(-0.2, 1), rng.uniform(-1, -0.3)])
    present = rng.random(DISTRACTORS) < 0.35 * v
    distractors = np.column_stack(
        [
            rng.uniform(-0.5, 0.5, DISTRACTORS),
            rng.uniform(-0.4, 0.4, DISTRACTORS),
            rng.uniform(0.75, 1.3, DISTRACTORS),
            np.where(present, rng.uniform(0.02, 0.10, DISTRACTORS), 0.0),
            rng.uniform(0, 0.25 * v, DISTRACTORS),
            rng.uniform(0, 2 * np.pi, DISTRACTORS),
            rng.uniform(0.1, 0.6, DISTRACTORS),
            rng.uniform(0, 2 * np.pi, DISTRACTORS),
        ]
    )
    return Scene(
        shape=shape,
        home=(u(-0.07, 0.07), u(-0.05, 0.05), u(0.34, 0.54)),
        segments=[],
        colours=colours,
        light=direction / np.linalg.norm(direction) * u(0.35, 0.65),
        distractors=distractors,
        drift=np.column_stack(
            [
                rng.uniform(0, 1, 3) ** 2 * [0.08, 0.08, 0.03] * v,
                rng.uniform(0.1, 0.8, 3),
                rng.uniform(0, 2 * np.pi, 3),
            ]
        ),
        gain=u(0.75, 1.25) * (1 + 0.08 * v * rng.normal(size=3)),
        gamma=u(0.75, 1.3),
        noise=float(rng.uniform(0.0, 0.035) * v),
        quality=float(rng.uniform(35, 95)),
        defocus=float(rng.random() < 0.3 * v),
        shutter=float(rng.uniform(0.004, 0.033)),
        flicker=np.array([rng.uniform(0, 0.04) * v, rng.uniform(0.2, 4), rng.uniform(0, 6.28)]),
        seed=int(rng.integers(2**62)),
    )


def clip_scene(
    split: str, seed: int, index: int, label: str, variation: float, before: str, seconds: float
) -> tuple[Scene, float]:
    """A scene with one gesture, rest or other motion around it; gives the gesture's middle too.

    ``before`` is what the hand does on both sides of the gesture: ``No gesture`` (rest) or
    ``Doing other things``. Both sides last ``seconds``.
    """
    scene = make_scene(split, seed, index, variation)
    rng = np.random.default_rng(_seed(split, seed, index).spawn(1)[0])

    def add(name: str, gap: bool) -> None:
        last = scene.segments[-1].end if scene.segments else 0.0
        # The way to and from a gesture takes as long on either side, in law.
        start = last + (rng.uniform(0.25, 0.6) if gap else 0.0)
        scene.segments.append(segment(name, start, rng, scene.shape.left, variation, scene.home))

    def fill(name: str, gap: bool) -> None:
        add(name, gap)
        first = scene.segments[-1]
        scene.segments[-1] = Segment(name, first.start, first.start + seconds, first.track)

    if label in (NO_GESTURE, OTHER):
        fill(label, False)
        one = scene.segments[0]
        scene.segments[0] = Segment(label, 0.0, 2 * seconds + 1.0, one.track)
        return scene, seconds + 0.5
    fill(before, False)
    add(label, True)
    fill(before, True)
    gesture = scene.segments[1]
    return scene, (gesture.start + gesture.end) / 2


def stream_scene(
    split: str, seed: int, index: int, variation: float, gestures: int
) -> tuple[Scene, float]:
    """A continuous recording: gestures with pauses and other motion between; gives its length.

    Each gesture is followed by rest (half of the time), other motion (a quarter) or the next
    gesture after a short way.
    """
    scene = make_scene(split, seed, index, variation)
    rng = np.random.default_rng(_seed(split, seed, index).spawn(1)[0])
    names = [name for name in LABELS if name not in (NO_GESTURE, OTHER)]
    clock = 0.0

    def add(name: str, gap: float, duration: float | None = None) -> None:
        nonlocal clock
        part = segment(name, clock + gap, rng, scene.shape.left, variation, scene.home)
        if duration is not None:
            part = Segment(name, part.start, part.start + duration, part.track)
        scene.segments.append(part)
        clock = part.end

    add(NO_GESTURE, 0.0, rng.uniform(0.5, 2.0))
    for _ in range(gestures):
        add(names[rng.integers(len(names))], rng.uniform(0.25, 0.6))
        draw = rng.random()
        if draw < 0.5:
            add(NO_GESTURE, rng.uniform(0.25, 0.6), rng.uniform(0.4, 2.5))
        elif draw < 0.75:
            add(OTHER, rng.uniform(0.25, 0.6), rng.uniform(0.8, 2.5))
    add(NO_GESTURE, rng.uniform(0.25, 0.6), 1.0)
    return scene, clock


def frame_labels(scene: Scene, times: np.ndarray, frame_rate: float) -> np.ndarray:
    """The class of each frame (n,), or ``IGNORE`` where it cannot be known yet."""
    labels = np.full(len(times), IGNORE, np.int64)
    for part in scene.segments:
        known, after = KNOWN_FROM, KNOWN_AFTER / frame_rate
        if part.label in (NO_GESTURE, OTHER):
            known, after = (0.0, 0.0) if part.label == NO_GESTURE else (0.25, 0.0)
        start = part.start + known * (part.end - part.start)
        labels[(times >= start) & (times <= part.end + after)] = LABELS.index(part.label)
    return labels


def pose_targets(scene: Scene, times: np.ndarray) -> np.ndarray:
    """What the hand does, for auxiliary supervision: (n, 17) of order 1.

    Image position (2), log depth, the first two columns of the rotation (6), finger flexion (4),
    spread, thumb (3). The mirror image of a left hand is described, as it is seen.
    """
    from core.data.hand import rotation_matrices

    poses = evaluate(scene.segments, times)
    depth = np.maximum(poses[:, 2], 0.1)
    rotation = rotation_matrices(poses[:, 3:6])[:, :, :2].reshape(-1, 6)
    if scene.shape.left:
        rotation = rotation * np.array([-1, -1, 1, 1, 1, 1])
    where = np.clip(poses[:, :2] / depth[:, None] * 2, -1.5, 1.5)
    return np.concatenate([where, 2 * np.log(depth / 0.5)[:, None], rotation, poses[:, 6:]], axis=1)


_NOISE: dict[torch.device, Tensor] = {}


def _noise(device: torch.device) -> Tensor:
    """A fixed field of unit normals that sensor noise is cut from, the same on every device."""
    if device not in _NOISE:
        field = torch.randn(NOISE_SIDE, NOISE_SIDE, generator=torch.Generator().manual_seed(7))
        _NOISE[device] = field.to(device)
    return _NOISE[device]


def render(
    jobs: list[tuple[Scene, np.ndarray]], size: int, variation: float, device: str = "cpu"
) -> list[Tensor]:
    """Render each scene at its times (seconds): a list of uint8 (T, 3, S, S), RGB."""
    return [_render_one(scene, times, size, variation, device) for scene, times in jobs]


def _render_one(
    scene: Scene, times: np.ndarray, size: int, variation: float, device: str
) -> Tensor:
    count = len(times)
    samples = 3
    offsets = (np.arange(samples) - (samples - 1) / 2) / samples * scene.shutter
    fine = (times[:, None] + offsets).ravel()  # exposure is symmetric in time
    ends, radii = capsules(evaluate(scene.segments, fine), scene.shape)
    ends, radii = ends.reshape(count, samples, CAPSULES, 2, 3), radii.reshape(
        count, samples, CAPSULES, 2
    )
    moved = _moved(ends, size)
    still = moved < 0.8  # pixels: one sample is enough where nothing moves
    picked_ends = np.concatenate([ends[still][:, 1], ends[~still].reshape(-1, CAPSULES, 2, 3)])
    picked_radii = np.concatenate([radii[still][:, 1], radii[~still].reshape(-1, CAPSULES, 2)])
    owner = np.concatenate([np.flatnonzero(still), np.repeat(np.flatnonzero(~still), samples)])
    weight = np.where(still, 1.0, 1.0 / samples)[owner]
    blobs = _blobs(scene, times[owner])

    def tensor(value: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(value), dtype=torch.float32, device=device)

    total = len(owner)
    shapes = Capsules(
        tensor(np.concatenate([picked_ends, blobs[0]], axis=1)),
        tensor(np.concatenate([picked_radii, blobs[1]], axis=1)),
        tensor(scene.colours).expand(total, -1, -1),
    )
    light = tensor(scene.light).expand(total, 3)
    rgb, cover = rasterise(shapes, light, size)
    index = torch.as_tensor(owner, device=device)
    scale = tensor(weight).view(-1, 1, 1, 1)
    over = torch.zeros(count, 4, size, size, device=device)
    over.index_add_(0, index, torch.cat([rgb, cover], 1) * scale)

    generator = torch.Generator().manual_seed(scene.seed)
    skin = torch.as_tensor(scene.colours[0], dtype=torch.float32)
    canvas = make_canvas(generator, size + 32, skin, variation).to(device)
    wave = scene.drift[:, 0] * np.sin(
        2 * np.pi * scene.drift[:, 1] * times[:, None] + scene.drift[:, 2]
    )
    image = background_frames(
        canvas[None],
        torch.zeros(count, dtype=torch.long, device=device),
        tensor(wave[:, :2]),
        tensor(0.85 + wave[:, 2]),
        size,
    )
    image = image * (1 - over[:, 3:]) + over[:, :3]
    return _camera(image, scene, times, generator)


def _camera(image: Tensor, scene: Scene, times: np.ndarray, generator: torch.Generator) -> Tensor:
    """Exposure, flicker, vignette, defocus, noise, compression: linear RGB to uint8."""
    device, size, count = image.device, image.shape[-1], len(image)
    depth, frequency, phase = scene.flicker
    flicker = 1 + depth * np.sin(2 * np.pi * frequency * times + phase)
    gain = torch.as_tensor(scene.gain * flicker[:, None], dtype=torch.float32, device=device)
    axis = torch.linspace(-1, 1, size, device=device) ** 2
    vignette = 1 - 0.12 * (axis[:, None] + axis[None])
    image = image * gain[:, :, None, None] * vignette
    if scene.defocus:
        image = F.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
    image = image.clamp(1e-3, 1) ** (scene.gamma / 1.4)
    if scene.noise:
        field = _noise(torch.device(device))
        corner = torch.randint(0, NOISE_SIDE - size, (count, 3, 2), generator=generator)
        cut = torch.stack(
            [
                torch.stack([field[y : y + size, x : x + size] for y, x in planes])
                for planes in corner.tolist()
            ]
        )
        image = image + scene.noise * cut
    image = image.clamp(0, 1)
    if scene.quality < 80:
        image = compress(image, torch.full((count,), scene.quality, device=device))
    return (image * 255).round().to(torch.uint8)


def _moved(ends: np.ndarray, size: int) -> np.ndarray:
    """How far, in pixels, the fastest visible joint moves during a frame's exposure: (n,)."""
    hand = ends[:, :, : SLEEVE - 1]
    screen = hand[..., :2] / np.maximum(hand[..., 2:], 0.1) * size
    return np.abs(screen[:, -1] - screen[:, 0]).max(axis=(1, 2, 3))


def _blobs(scene: Scene, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distractors that move behind the hand: ends (n, D, 2, 3) and radii (n, D, 2)."""
    x, y, z, radius, swing, phase, beat, heading = scene.distractors.T
    move = swing * np.sin(2 * np.pi * beat * times[:, None] + phase)
    centre = np.stack(
        [x + move * np.cos(heading), y + move * np.sin(heading), np.broadcast_to(z, move.shape)], -1
    )
    ends = np.stack([centre - [0.0, 0.04, 0.0], centre + [0.0, 0.04, 0.0]], axis=2)
    ends[..., 1] += np.where(radius > 0, 0, 99)[None, :, None]  # absent ones leave the picture
    return ends, np.broadcast_to(np.stack([radius, radius], -1) + 1e-4, (len(times), DISTRACTORS, 2))


WINDOW = 24  # frames of a training window


@dataclass
class Window:
    """A training window: frames and what is known about each of them."""

    frames: Tensor  # uint8 (WINDOW, 3, S, S)
    labels: np.ndarray  # (WINDOW,) class or IGNORE
    poses: np.ndarray  # (WINDOW, POSE_TARGETS) float32
    clip_label: int  # the class of the window's main gesture, IGNORE when it has none
    gesture: tuple[float, float]  # its first and last frame, may lie outside the window


def training_window(
    seed: int, index: int, size: int, variation: float, frame_rate: float
) -> Window:
    """Window ``index`` of the training set: random phase, lead-in by rest, motion or a gesture."""
    rng = np.random.default_rng(_seed("train", seed, index).spawn(2)[1])
    steps = np.arange(WINDOW) / frame_rate
    if rng.random() < 0.2:
        scene, length = stream_scene("train", seed, index, variation, gestures=4)
        times = rng.uniform(0, length - steps[-1]) + steps
        clip_label, gesture = IGNORE, (0.0, 0.0)
    else:
        label = LABELS[index % len(LABELS)]
        before = OTHER if rng.random() < 0.3 else NO_GESTURE
        scene, middle = clip_scene("train", seed, index, label, variation, before, 2.0)
        times = middle + steps - steps[-1] / 2 + rng.uniform(-0.5, 0.5)
        part = scene.segments[len(scene.segments) // 2]
        clip_label = LABELS.index(label)
        gesture = tuple((np.array([part.start, part.end]) - times[0]) * frame_rate)
    frames = render([(scene, times)], size, variation)[0]
    return Window(
        frames,
        frame_labels(scene, times, frame_rate),
        pose_targets(scene, times).astype(np.float32),
        clip_label,
        gesture,
    )
