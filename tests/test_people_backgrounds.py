"""What hangs behind rendered people: panoramas and photographs, read as they are."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from datasets import write_pictures
from PIL import Image

from core.data.rendered.people import light
from core.data.rendered.people.body import LEAST_SHARED, share_of
from core.errors import BadInput


def test_backgrounds_are_panoramas_and_photographs(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no \.exr panoramas and no \.jpg"):
        light.read_backgrounds(tmp_path)
    with pytest.raises(BadInput, match="holds no"):
        light.read_backgrounds(tmp_path / "missing")
    write_pictures(tmp_path, 5)
    photograph = light.read_backgrounds(tmp_path)[0]
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radiance = photograph.turned(rng).radiance(directions)
    assert radiance.shape == (50, 3)
    assert (radiance >= 0).all()
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"bad\.jpg cannot be read"):
        light.read_backgrounds(tmp_path)


def test_photographs_keep_their_shape_and_stand_upright(tmp_path: Path) -> None:
    """A square on a photograph of any shape is seen as wide as high."""
    grid = np.linspace(-0.9, 0.9, 181)
    ahead = np.stack(np.broadcast_arrays(grid, grid[:, None], -1.0), -1)
    directions = ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)
    for shape in ((400, 600), (600, 400)):
        picture = np.zeros((*shape, 3), np.float32)
        picture[
            shape[0] // 2 - 60 : shape[0] // 2 + 60, shape[1] // 2 - 60 : shape[1] // 2 + 60
        ] = 1
        seen = light.Photograph(picture).radiance(directions)[..., 0] > 0.5
        high, wide = seen.any(1).sum(), seen.any(0).sum()
        assert wide > 30
        assert abs(int(high) - int(wide)) <= 2
    turned = Image.new("RGB", (60, 40))
    exif = turned.getexif()
    exif[0x0112] = 6  # orientation: the camera was held upright
    turned.save(tmp_path / "upright.jpg", exif=exif)
    assert light.read_photograph(tmp_path / "upright.jpg").shape == (60, 40, 3)


@pytest.mark.parametrize("kind", ["half", "float"])
def test_panoramas_of_half_and_whole_floats_are_read(tmp_path: Path, kind: str) -> None:
    import av

    levels = (1.5, 0.25, 0.75)  # green, blue, red
    frame = av.VideoFrame(64, 32, "gbrpf32le")
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(np.full(plane.buffer_size // 4, level, "<f4").tobytes())
    encoder = av.CodecContext.create("exr", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 32, "gbrpf32le"
    encoder.time_base, encoder.options = Fraction(1, 10), {"format": kind}
    (packet,) = [*encoder.encode(frame), *encoder.encode(None)]
    (tmp_path / "room.exr").write_bytes(bytes(packet))
    assert np.allclose(light.read_exr(tmp_path / "room.exr"), (0.75, 1.5, 0.25), atol=2e-3)


def test_backgrounds_have_to_be_enough_for_every_split(tmp_path: Path) -> None:
    write_pictures(tmp_path, LEAST_SHARED - 1)
    with pytest.raises(BadInput, match=rf"holds 4, .* at least {LEAST_SHARED}"):
        light.read_backgrounds(tmp_path)
    write_pictures(tmp_path, LEAST_SHARED)
    found = light.read_backgrounds(tmp_path)
    assert all(share_of(found, split) for split in ("train", "val", "test"))
