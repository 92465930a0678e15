"""How a person looks: skin, hair, beard, clothes and glasses, as one mesh ready to draw.

Where something is on a body is said in coordinates of the mean person (``Body.canon``): metres,
eyes at y 0.857, shoulders at 0.62, the front at negative z. Clothes and hair are the skin pushed
outwards where a signed distance is positive; the shader cuts them off sharply where it is zero.
"""

import numpy as np

from core.data.rendered.people.arm import rest_hand, unit
from core.data.rendered.people.body import ACTIVE, SIDES, Body
from core.data.rendered.people.gl import Mesh, two_sided
from core.data.rendered.people.wear import clothes, glasses, headphones, palette, smoothstep

LIGHT, DARK = np.array([0.62, 0.40, 0.30]), np.array([0.075, 0.038, 0.024])  # linear skin
HAIR = np.array([[0.010, 0.008, 0.007], [0.035, 0.02, 0.012], [0.11, 0.06, 0.03],
                 [0.30, 0.19, 0.09], [0.22, 0.07, 0.025], [0.35, 0.34, 0.33]])  # fmt: skip
HAIR_CHANCE = [0.36, 0.28, 0.16, 0.08, 0.05, 0.07]
STYLES = ("bald", "buzz", "short", "full", "long", "cap")
WOMEN = (0.0, 0.02, 0.2, 0.23, 0.5, 0.05)
MEN = (0.07, 0.17, 0.42, 0.22, 0.06, 0.06)
# Hairline: lowest y of hair over z, from forehead to nape.
LINE_Z = [-0.19, -0.135, -0.10, -0.075, -0.04, 0.0, 0.05]
LINE_Y = [0.925, 0.925, 0.905, 0.855, 0.85, 0.79, 0.76]


def dress(body: Body, rng: np.random.Generator, woman: bool) -> tuple[list[Mesh], dict]:
    """The meshes of one person, and the shader's uniforms for clothes and hair."""
    u = rng.uniform
    x, y, z = body.canon.T
    count = len(body.vertices)
    position = body.vertices.copy()
    field = np.ones((count, 3))

    tone = rng.random() ** 1.5
    skin = np.exp(np.log(LIGHT) * (1 - tone) + np.log(DARK) * tone) * np.exp(
        0.07 * rng.normal(size=3)
    )
    hair = HAIR[rng.choice(len(HAIR), p=HAIR_CHANCE if tone < 0.6 else [0.8, 0.15, 0, 0, 0, 0.05])]
    hair = hair * np.exp(0.3 * rng.normal())
    colour = _skin(body, skin, hair, rng, woman)
    if not woman and rng.random() < 0.4:
        stubble = smoothstep(-0.004, 0.012, _beard(body, rng))[:, None]
        colour += (0.5 * (colour + hair) * 0.8 - colour) * stubble * u(0.2, 0.9)
    field[:, 2] = _occlusion(body)

    inside, thickness = clothes(body, rng)
    field[:, 0] = inside
    loose = u(0.002, 0.02) * (0.5 + 0.5 * np.sin(x * u(10, 25) + z * 17) * np.sin(y * u(8, 20)))
    torso = smoothstep(0.12, 0.0, np.abs(x) - 0.1)
    hang = u(0.0, 0.04) * smoothstep(0.56, 0.38, y) + u(0, 0.012)
    push = (thickness + (loose + hang) * torso) * smoothstep(0.0, 0.02, inside)
    collar = u(0, 0.02) * (rng.random() < 0.5)
    push += collar * np.exp(-(((inside - 0.012) / 0.012) ** 2)) * (y > 0.6)

    on_head = smoothstep(0.70, 0.74, y) * (np.abs(x) < 0.14) * (z > -0.25)
    style = rng.choice(STYLES, p=WOMEN if woman else MEN)
    amount = {"bald": 0.0, "buzz": 0.004, "short": u(0.010, 0.022), "full": u(0.018, 0.04),
              "long": u(0.012, 0.03), "cap": 0.014}[style]  # fmt: skip
    line = np.interp(z, LINE_Z, LINE_Y) + u(-0.012, 0.015) * (z < -0.08)
    if style == "full":  # a fringe that hangs into the forehead
        line = line - u(0, 0.03) * (z < -0.09) * (1 + 0.6 * np.sin(x * u(20, 60)))
    if style == "cap":
        line = np.maximum(line, 0.885)
    scalp = np.where(body.masks["ears"] > 0.4, -0.02, y - line)
    scalp = np.where(on_head > 0, scalp, -0.1)
    if style != "bald":
        rough = 1 + u(0.1, 0.45) * (np.sin(x * 95 + 3 * np.sin(z * 60)) * np.sin(z * 80 + y * 50))
        taller = 1 + u(0, 0.7) * smoothstep(0.92, 0.98, y)
        push += amount * rough * taller * smoothstep(0, 0.035, scalp)
        field[:, 1] = scalp
    else:
        field[:, 1] = -0.1
    if not woman and rng.random() < 0.35:
        beard = _beard(body, rng)
        field[:, 1] = np.maximum(field[:, 1], beard)
        push += u(0.001, 0.012) * smoothstep(0, 0.015, beard)
    field[:, 0] = np.where(field[:, 1] > 0, -0.1, field[:, 0])
    position += body.normals * push[:, None]

    parts = [
        Mesh(
            position,
            body.normals,
            body.indices,
            body.weights,
            colour,
            body.canon,
            field,
            body.triangles,
        )
    ]
    if style == "long":
        parts.append(two_sided(_curtain(body, rng, amount)))
    if rng.random() < 0.35:
        parts.append(two_sided(glasses(body, rng)))
    if style != "cap" and rng.random() < 0.08:
        parts.append(two_sided(headphones(body, rng)))
    colours = palette(rng)
    uniforms = {
        "cloth": colours,
        "hair": hair if style != "cap" else colours[1],
        "pattern": np.array([rng.choice(8, p=[0.44, 0.08, 0.05, 0.08, 0.15, 0.05, 0.07, 0.08]),
                             np.exp(u(np.log(12), np.log(45))), u(0.25, 0.6), u(0.6, 1.5)]),
        "shine": u(0.0, 0.10),
        "folds": u(0.2, 1.2),
        "trim": u(0.006, 0.03) if rng.random() < 0.25 else 0.0,
    }  # fmt: skip
    return parts, uniforms


def _skin(
    body: Body, skin: np.ndarray, hair: np.ndarray, rng: np.random.Generator, woman: bool
) -> np.ndarray:
    """Colour of every vertex (V, 3) where neither clothes nor hair cover it."""
    x, y, z = body.canon.T
    colour = np.tile(skin, (len(x), 1))
    red = np.array([1.12, 0.92, 0.88])
    grey = skin.mean()
    for side in SIDES:
        palmar = smoothstep(-0.1, 0.5, -(body.normals @ rest_hand(body, side)[:, 2]))
        palmar *= body.masks["hand"] * ((x < 0) == (side == "R"))
        pale = (skin**0.72) * np.array([0.95, 0.80, 0.76]) * (1 if grey > 0.1 else 0.85)
        colour += (np.maximum(pale, skin) - colour) * palmar[:, None]
        tips = [body.tails[f"finger{k}-3.{side}"] for k in range(1, 6)]
        for tip in tips:
            near = np.exp(-(((body.vertices - tip) ** 2).sum(1)) / 0.014**2)
            colour *= 1 + near[:, None] * (red - 1)
    blush = np.exp(-((np.abs(x) - 0.045) ** 2 + (y - 0.815) ** 2) / 0.022**2) + np.exp(
        -(x**2 + (y - 0.822) ** 2) / 0.015**2
    )
    front = (z < -0.06)[:, None]
    colour *= 1 + 0.7 * (blush[:, None] * front) * (red - 1)
    lips = skin * (
        np.array([1.05, 0.55, 0.55]) if rng.random() < 0.7 else np.array([1.0, 0.3, 0.3])
    )
    colour += (lips - colour) * (0.8 * body.masks["lips"][:, None])
    nails = (
        np.clip(skin * 1.25 + 0.03, 0, 1)
        if not woman or rng.random() < 0.6
        else rng.uniform(0.02, 0.6, 3)
    )
    colour += (nails - colour) * body.masks["fingernails"][:, None]
    arch = y - (0.879 + 0.004 * np.sin((np.abs(x) - 0.012) / 0.05 * np.pi))
    brow = (
        np.exp(-((arch / 0.0055) ** 2))
        * smoothstep(0.008, 0.016, np.abs(x))
        * smoothstep(0.06, 0.045, np.abs(x))
    )
    brow *= (z < -0.08) & (y < 0.9)
    colour += (np.minimum(hair, skin * 0.5) - colour) * (rng.uniform(0.4, 1.0) * brow)[:, None]
    socket = np.exp(-((np.abs(x) - 0.032) ** 2 / 0.019**2 + (y - 0.857) ** 2 / 0.011**2)) * (
        z < -0.1
    )
    colour *= 1 - 0.35 * socket[:, None]
    iris = rng.uniform(0.01, 0.12) * np.array([1, rng.uniform(0.6, 1.1), rng.uniform(0.4, 1.3)])
    for side in SIDES:
        middle = body.heads[f"eye.{side}"]
        front = unit(body.vertices - middle)[:, 2] < -0.86
        eye = body.masks["eye"] * ((x < 0) == (side == "R"))
        colour[eye > 0] = np.where(
            front[eye > 0, None], iris * 0.5, np.minimum([0.30, 0.27, 0.25], skin + 0.12)
        )
    colour[body.masks["cavity"] > 0] = skin * 0.12
    return np.clip(colour, 0.002, 0.95)


def _occlusion(body: Body) -> np.ndarray:
    """How much of the surrounding light reaches a vertex (V,)."""
    x, y, _ = body.canon.T
    light = np.ones(len(x))
    light *= 1 - 0.45 * smoothstep(0.76, 0.72, y) * smoothstep(0.64, 0.70, y) * smoothstep(
        0.09, 0.06, np.abs(x)
    )
    light *= 1 - 0.5 * np.exp(-((np.abs(x) - 0.19) ** 2 + (y - 0.53) ** 2) / 0.05**2)
    light[body.masks["cavity"] > 0] = 0.3
    for side in SIDES:  # the clefts between fingers
        for finger in (2, 3, 4):
            cleft = (
                body.heads[f"finger{finger}-1.{side}"] + body.heads[f"finger{finger + 1}-1.{side}"]
            ) / 2
            light *= 1 - 0.35 * np.exp(-(((body.vertices - cleft) ** 2).sum(1)) / 0.012**2)
    return light


def _beard(body: Body, rng: np.random.Generator) -> np.ndarray:
    """Signed distance into a beard (V,), roughly metres."""
    x, y, z = body.canon.T
    full = rng.random() < 0.65
    top = 0.768 + (0.9 * np.maximum(np.abs(x) - 0.022, 0) if full else 0)
    lip = 0.006 - np.abs(y - (0.8005 - 6 * x**2)) if rng.random() < 0.8 else np.full(len(x), -0.1)
    lip = np.where(np.abs(x) < 0.028, lip, -0.1)
    bottom = 0.732 + 0.5 * np.maximum(z + 0.115, 0)  # the jaw's lower edge rises to the ears
    chin = np.minimum(np.minimum(top, 0.845) - y, y - bottom)
    if not full:
        chin = np.minimum(chin, 0.028 - np.abs(x))
    beard = np.maximum(lip, chin)
    beard = np.where((z < -0.045) & (body.masks["lips"] < 0.3), beard, -0.1)
    return np.where(y > 0.85, -0.1, beard)


def _curtain(body: Body, rng: np.random.Generator, amount: float) -> Mesh:
    """Long hair: a sheet around back and sides of the head that hangs down to the shoulders."""
    wide, tall = 28, 14
    centre = np.array([0.0, 0.0, -0.055])
    open_angle = rng.uniform(0.85, 1.35)  # radians from the front that stay free
    bottom = rng.uniform(0.50, 0.74)
    around = np.linspace(open_angle, 2 * np.pi - open_angle, wide)
    ragged = rng.normal(size=wide) * rng.uniform(0, 0.02)
    part = np.linspace(0, 1, tall)[:, None]
    a = np.broadcast_to(around, (tall, wide))
    h = 0.925 + (bottom + ragged - 0.925) * part
    tuck = smoothstep(0.93, 0.86, h)  # the top lies under the hair of the scalp
    fall = smoothstep(0.84, 0.66, h)
    lock = (
        np.sin(a * rng.integers(6, 14) + rng.uniform(0, 6)) * rng.uniform(0, 0.006) * (0.3 + part)
    )
    radius = 0.070 + (0.010 + amount * 0.8) * tuck + rng.uniform(0, 0.015) * fall + lock
    direction = np.stack([np.sin(a), np.zeros_like(a), -np.cos(a) * 1.2], -1)
    canon = centre + direction * radius[..., None]
    canon[..., 1] = h
    front = np.maximum(np.cos(a), 0)
    canon[..., 2] -= 0.03 * fall * front  # before the shoulders
    canon[..., 0] *= 1 + 0.15 * fall * front
    shift = body.heads["head"] - body.canon_heads["head"]
    position = (canon + shift).reshape(-1, 3)
    normal = unit(direction).reshape(-1, 3)
    count = wide * tall
    bone, weight = np.zeros((count, 4)), np.zeros((count, 4))
    bone[:, 0], bone[:, 1] = ACTIVE.index("head"), ACTIVE.index("spine01")
    weight[:, 1] = smoothstep(0.78, 0.6, h).ravel()
    weight[:, 0] = 1 - weight[:, 1]
    field = np.tile([-0.1, 0.1, 0.8], (count, 1))
    cell = (np.arange(tall - 1)[:, None] * wide + np.arange(wide - 1)).ravel()
    triangles = np.concatenate([np.stack([cell, cell + 1, cell + wide], 1),
                                np.stack([cell + 1, cell + wide + 1, cell + wide], 1)])  # fmt: skip
    return Mesh(
        position,
        normal,
        bone,
        weight,
        np.full((count, 3), 0.02),
        canon.reshape(-1, 3),
        field,
        triangles,
    )
