"""Bodies: the upper bodies of many people in one mesh, and how rotations of bones move them.

``bodies.npz`` (see ``export_bodies``) holds vertices and bone heads of some dozens of people drawn
with Anny; a convex mixture of a few of them is one more person. Coordinates are the project's: x to
the image's right, y up, z away from the camera, so a person who looks at the camera looks along -z
and the person's right is at negative x.

A pose is a rotation of each bone *away from the rest pose, in the world's axes*: no bone frames are
needed, and a bone that is not named moves with its parent.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIDES = ("R", "L")
PLACES = {"train": (0, 1, 2), "val": (3,), "test": (4,)}  # of things that splits share out
LEAST_SHARED = 5  # things of which every split has one
STEP = 1e-4  # metres, in which the bodies' differences from their mean are kept
# Bones that move on their own; what belongs to others moves with the nearest of these above it.
ACTIVE = (
    "root", "spine03", "spine01", "neck01", "head", "jaw",
    *(
        f"{bone}.{side}"
        for side in SIDES
        for bone in (
            "clavicle", "upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist",
            *(f"finger{finger}-{joint}" for finger in range(1, 6) for joint in range(1, 4)),
        )
    ),
)  # fmt: skip


@dataclass
class Body:
    """One person at rest."""

    vertices: np.ndarray  # (V, 3) metres
    normals: np.ndarray  # (V, 3) outwards
    canon: np.ndarray  # (V, 3) the same vertices of the mean person: where things are on a body
    triangles: np.ndarray  # (F, 3)
    indices: np.ndarray  # (V, 4) into ACTIVE
    weights: np.ndarray  # (V, 4)
    heads: dict[str, np.ndarray]  # bone -> where it begins
    tails: dict[str, np.ndarray]
    canon_heads: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]  # (V,) each
    parents: dict[str, str | None]  # of the active bones


def share_of(things: list, split: str) -> list:
    """The part of a list that a split may draw from: of any five, three train."""
    return [thing for index, thing in enumerate(things) if index % LEAST_SHARED in PLACES[split]]


class Bodies:
    """The people of one file."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            data = {key: file[key] for key in file.files}
        self.names = [str(name) for name in data["names"]]
        self.vertices = data["vertices_mean"] + STEP * data["vertices_steps"]
        self.triangles = data["triangles_5000"]
        self.fine = data["triangles"]  # for normals: shading keeps the detail that is not drawn
        self.heads, self.tails = data["heads"], data["tails"]
        self.canon = self.vertices.mean(0)
        self.women = data["phenotype_gender"] > 0.5
        parents = data["parents"]
        number = {name: index for index, name in enumerate(ACTIVE)}

        def above(bone: int) -> str | None:
            while bone > 0 and self.names[bone] not in number:
                bone = parents[bone]
            return self.names[bone] if self.names[bone] in number else None

        slot = np.array([number[above(bone) or "root"] for bone in range(len(self.names))])
        self.indices, self.weights = slot[data["indices"]], data["weights"]
        self.parents = {
            name: above(parents[self.names.index(name)]) if name != "root" else None
            for name in ACTIVE
        }
        part = data["part_names"][data["part"]]
        self.masks = {key[5:]: data[key] for key in data if key.startswith("mask_")}
        self.masks["eye"] = np.char.startswith(part, "eye_front").astype(np.float32)
        self.masks["cavity"] = np.isin(
            part, ["eye_cavity.L", "eye_cavity.R", "mouth_cavity"]
        ).astype(np.float32)
        self.masks["hand"] = np.char.startswith(part, "hand").astype(np.float32)

    def draw(
        self, rng: np.random.Generator, woman: bool, split: str, mixed: int = 3, size: float = 1.0
    ) -> Body:
        """A person: a random mixture of ``mixed`` people of a split's, scaled by ``size``."""
        mine = share_of(list(np.flatnonzero(self.women == woman)), split)
        chosen = rng.choice(mine, mixed, replace=False)
        share = rng.dirichlet(np.full(mixed, 0.5)) * size
        vertices = np.tensordot(share, self.vertices[chosen], 1)
        heads = np.tensordot(share, self.heads[chosen], 1)
        tails = np.tensordot(share, self.tails[chosen], 1)
        return Body(
            vertices=vertices,
            normals=vertex_normals(vertices, self.fine),
            canon=self.canon,
            triangles=self.triangles,
            indices=self.indices,
            weights=self.weights,
            heads=dict(zip(self.names, heads, strict=True)),
            tails=dict(zip(self.names, tails, strict=True)),
            canon_heads=dict(zip(self.names, self.heads.mean(0), strict=True)),
            masks=self.masks,
            parents=self.parents,
        )


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), outwards: the swap of two axes has turned the triangles round."""
    corners = vertices[triangles]
    face = -np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack(
        [
            np.bincount(triangles.ravel(), np.repeat(face[:, axis], 3), len(vertices))
            for axis in range(3)
        ],
        -1,
    )
    return normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)


def bone_places(
    body: Body, turns: dict[str, np.ndarray], root: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Rotation (T, 3, 3) and head (T, 3) of every active bone; ``root`` (T, 3) moves the whole."""
    count = len(root)
    rotation: dict[str, np.ndarray] = {}
    place: dict[str, np.ndarray] = {}
    for name in ACTIVE:
        parent = body.parents[name]
        if parent is None:
            place[name] = body.heads[name] + root
            rotation[name] = turns.get(name, np.broadcast_to(np.eye(3), (count, 3, 3)))
            continue
        offset = body.heads[name] - body.heads[parent]
        place[name] = place[parent] + rotation[parent] @ offset
        rotation[name] = turns.get(name, rotation[parent])
    return rotation, place


def bone_matrices(
    body: Body, rotation: dict[str, np.ndarray], place: dict[str, np.ndarray]
) -> np.ndarray:
    """Affine maps from the rest pose, (T, bones, 3, 4)."""
    turn = np.stack([rotation[name] for name in ACTIVE], 1)
    rest = np.stack([body.heads[name] for name in ACTIVE])
    move = np.stack([place[name] for name in ACTIVE], 1) - np.einsum("tbij,bj->tbi", turn, rest)
    return np.concatenate([turn, move[..., None]], -1)


def skin(matrices: np.ndarray, body: Body, vertices: np.ndarray) -> np.ndarray:
    """Linear blend skinning in numpy, (T, V, 3): what the vertex shader does, for tests."""
    dense = np.zeros((len(vertices), len(ACTIVE)))
    for k in range(body.indices.shape[1]):
        np.add.at(dense, (np.arange(len(dense)), body.indices[:, k]), body.weights[:, k])
    blended = np.einsum("vb,tbij->tvij", dense, matrices, optimize=True)
    return np.einsum("tvij,vj->tvi", blended[..., :3], vertices) + blended[..., 3]
