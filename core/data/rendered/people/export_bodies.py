"""Once: draw bodies with Anny and keep what the renderer needs of them in one file.

    python -m core.data.rendered.people.export_bodies bodies.npz

Anny (Apache-2.0 code, CC0 body data) is needed for this step alone. Coordinates become the
project's: x to the image's right, y up, z away from the camera that the person faces.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import yaml  # type: ignore[import-untyped]  # the script alone needs it
from PIL import Image

from core.data.rendered.people.body import STEP
from core.data.rendered.people.decimate import decimate

DROPPED = ("foot", "toe", "lowerleg", "tongue")  # bones whose vertices no webcam shows
MOST_WEIGHTS = 4


def phenotypes(count: int, seed: int) -> dict[str, torch.Tensor]:
    """Random adults and teenagers: every value in 0..1 as Anny defines it."""
    rng = np.random.default_rng(seed)
    draw = {
        "gender": rng.uniform(0, 1, count).round() * 0.8 + rng.uniform(0, 0.2, count),
        "age": rng.uniform(0.55, 0.95, count),
        "muscle": rng.uniform(0.25, 0.75, count),
        "weight": rng.uniform(0.2, 0.85, count),
        "height": rng.uniform(0.3, 0.7, count),
        "proportions": rng.uniform(0.3, 0.7, count),
    }
    shares = rng.dirichlet([0.5, 0.5, 0.5], count)
    draw.update(zip(("african", "asian", "caucasian"), shares.T, strict=True))
    return {name: torch.tensor(value) for name, value in draw.items()}


def vertex_masks(data: Path, texture: np.ndarray) -> dict[str, np.ndarray]:
    """Lips, nails and so on, (V,) in 0..1 each, from the CC0 mask pictures that come with Anny."""
    masks = {}
    folder = data / "mpfb2" / "textures"
    for name in ("lips", "fingernails", "ears", "eyelids", "inside-mouth"):
        picture = np.asarray(Image.open(folder / f"mpfb_{name}.jpg").convert("L")) / 255.0
        masks["mask_" + name.replace("-", "_")] = _look_up(picture, texture).astype(np.float32)
    colours = yaml.safe_load((data / "segmentation/body_parts_segmentation.yaml").read_text())
    picture = np.asarray(
        Image.open(data / "segmentation/body_parts_segmentation.png").convert("RGB"), np.int64
    )
    seen = _look_up(picture, texture)
    names = list(colours["colors"])
    table = np.array([colours["colors"][name] for name in names])
    masks["part"] = np.abs(seen[:, None] - table).sum(-1).argmin(1).astype(np.uint8)
    masks["part_names"] = np.array(names)
    return masks


def packed(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, V, 3) in metres as their mean (V, 3) and steps of ``STEP`` from it, int16."""
    middle = vertices.mean(0).astype(np.float32)
    return middle, np.round((vertices - middle) / STEP).astype(np.int16)


def _look_up(picture: np.ndarray, texture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    column = np.clip((texture[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - texture[:, 1]) * height).astype(int), 0, height - 1)
    return picture[row, column]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    import anny  # type: ignore[import-not-found]  # the script alone needs it

    began = time.perf_counter()
    model = anny.create_fullbody_model(all_phenotypes=True)
    print(f"model built in {time.perf_counter() - began:.1f} s", model.phenotype_labels)
    with torch.no_grad():
        chosen = phenotypes(args.count, args.seed)
        coefficients = model.get_phenotype_blendshape_coefficients(**chosen)
        rest = model.get_rest_model(coefficients)
    turn = [0, 2, 1]  # Anny: x left of the person, y backwards, z up
    vertices = rest["rest_vertices"].numpy()[..., turn]
    heads = rest["rest_bone_heads"].numpy()[..., turn]
    tails = rest["rest_bone_tails"].numpy()[..., turn]
    weights, indices = model.vertex_bone_weights.numpy(), model.vertex_bone_indices.numpy()
    faces = model.faces.numpy()
    triangles = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])

    # Cut: legs, feet, tongue and everything below the middle of the thighs.
    names = model.bone_labels
    leg = np.array([name.startswith(DROPPED) for name in names])
    share = (weights * leg[indices]).sum(1)
    middle = names.index("upperleg02.L")
    low = vertices[:, :, 1].mean(0) < heads[:, middle, 1].mean()
    hands = vertices[0, :, 0].__abs__() > np.abs(heads[0, names.index("upperleg01.L"), 0]) + 0.25
    kept = (share < 0.3) & ~(low & ~hands)
    number = np.cumsum(kept) - 1
    triangles = number[triangles[kept[triangles].all(1)]]

    order = np.argsort(-weights, 1)[:, :MOST_WEIGHTS]
    weights = np.take_along_axis(weights, order, 1)[kept]
    indices = np.take_along_axis(indices, order, 1)[kept]
    weights /= weights.sum(1, keepdims=True)
    texture = np.zeros((vertices.shape[1], 2))
    texture[faces.ravel()] = model.texture_coordinates.numpy()[
        model.face_texture_coordinate_indices.numpy().ravel()
    ]
    masks = vertex_masks(Path(anny.__file__).parent / "data", texture[kept])
    part = masks["part_names"][masks["part"]]
    hidden = np.isin(
        part, ["mouth_cavity", "eye_back.L", "eye_back.R", "eye_cavity.L", "eye_cavity.R"]
    )
    mean = vertices[:, kept].mean(0)
    importance = np.where(np.char.startswith(part, "hand"), 12.0, 1.0)
    importance[(part == "head") & (mean[:, 2] < -0.07)] = 8.0
    importance[(mean[:, 1] > 0.84) & (mean[:, 1] < 0.895) & (mean[:, 2] < -0.09)] = 30.0
    importance[np.char.startswith(part, "eye_front")] = 50.0
    importance[hidden] = 0.02
    coarse = {f"triangles_{n}": decimate(mean, triangles, importance, n) for n in (5000, 9000)}
    parents = np.array(model.bone_parents)
    middle, steps = packed(vertices[:, kept])
    arrays = dict(
        vertices_mean=middle, vertices_steps=steps,
        heads=heads.astype(np.float32), tails=tails.astype(np.float32),
        triangles=triangles.astype(np.int32), weights=weights.astype(np.float32),
        indices=indices.astype(np.uint8), names=np.array(names), parents=parents,
        **masks, **coarse,
        **{f"phenotype_{name}": value.numpy() for name, value in chosen.items()},
    )  # fmt: skip
    np.savez_compressed(args.file, **arrays)
    print(vertices.shape, "kept", kept.sum(), "triangles", len(triangles))


if __name__ == "__main__":
    main()
