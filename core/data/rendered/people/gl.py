"""Drawing: a skinned, shaded person into linear RGB and coverage, with OpenGL over EGL.

Works without a screen and without a GPU: Mesa's llvmpipe draws on the processor. A frame is drawn
once, at the middle of its exposure, together with each pixel's movement during it; ``blur.py``
smears along that. Skinning is one matrix product for all frames, since gathering bone matrices
costs llvmpipe's vertex shader more than everything else there.
"""

import importlib
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.rendered.people.blur import Blur, Pass
from core.data.rendered.people.shaders import (
    SHADE,
    SHADOW_FRAGMENT,
    SHADOW_VERTEX,
    SIDE,
    SURFACE,
    VERTEX,
)
from core.errors import BadInput

if TYPE_CHECKING:
    import moderngl

SHADOW = 160  # side of the shadow map
TILES = 8  # pictures drawn before one read-back; a window of 24 fills three
NEAR, FAR = 0.05, 20.0


@dataclass
class Mesh:
    """What is drawn: (V, n) arrays by attribute, and triangles (F, 3)."""

    position: np.ndarray
    normal: np.ndarray
    bone: np.ndarray
    weight: np.ndarray
    colour: np.ndarray
    canon: np.ndarray
    field: np.ndarray  # inside clothes, inside hair (both metres, positive inside), light let in
    triangles: np.ndarray


ATTRIBUTES = ("position", "normal", "bone", "weight", "colour", "canon", "field")


def joined(meshes: list[Mesh]) -> Mesh:
    """One mesh of several."""
    first = np.cumsum([0, *(len(mesh.position) for mesh in meshes)])
    columns = {name: np.concatenate([getattr(m, name) for m in meshes]) for name in ATTRIBUTES}
    triangles = [mesh.triangles + start for mesh, start in zip(meshes, first[:-1], strict=True)]
    return Mesh(**columns, triangles=np.concatenate(triangles))


def two_sided(mesh: Mesh) -> Mesh:
    """The mesh with every triangle twice, facing either way: faces turned away are not drawn."""
    return replace(mesh, triangles=np.concatenate([mesh.triangles, mesh.triangles[:, ::-1]]))


def _context() -> "moderngl.Context":
    """An OpenGL context without a screen; ``BadInput`` tells what to install."""
    # Mesa's driver and triton bring an LLVM each. Triton, which torch imports when it exports or
    # trains in several processes, dies of a segmentation fault when Mesa's is there before its own.
    with suppress(ImportError):
        importlib.import_module("triton")
    try:
        import moderngl
    except ModuleNotFoundError:
        raise BadInput(
            "rendered people need moderngl, which is not installed: pip install "
            '"action-mobile[render]"'
        ) from None
    try:
        make: Any = moderngl.create_context  # its stubs take a backend for a dict
        return make(standalone=True, backend="egl")
    except Exception as error:  # what the system's loader and its drivers raise
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise BadInput(
            f"OpenGL without a screen cannot be opened ({reason}): install EGL and a driver "
            "(Debian: apt-get install libegl1 libgl1-mesa-dri)"
        ) from None


class Painter:
    """One OpenGL context that draws pictures of ``size`` pixels; keep it for a whole process.

    Raises ``BadInput`` where moderngl or a driver is missing.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        gl = self.context = _context()
        area = (size * TILES * SIDE, size * SIDE)
        surface = [gl.texture(area, channels, dtype="f2") for channels in (4, 4, 4, 2)]
        depth = gl.depth_texture(area)
        self.canvas = gl.framebuffer(surface, depth)
        self.map = gl.depth_texture((SHADOW * TILES, SHADOW))
        self.shadow = gl.framebuffer(depth_attachment=self.map)
        self.blur = Blur(gl, size, TILES)
        program: Any = gl.program  # its members are of four kinds, which stubs cannot tell
        self.surface = program(vertex_shader=VERTEX, fragment_shader=SURFACE)
        self.caster = program(vertex_shader=SHADOW_VERTEX, fragment_shader=SHADOW_FRAGMENT)
        names = ("depths", "normals", "colours", "canons", "moves", "shadow")
        self.textures = dict(zip(names, (depth, *surface, self.map), strict=True))
        for texture in (depth, self.map):
            texture.compare_func = ""
        self.shades: dict[int, Pass] = {}  # by the pattern of clothes
        self.surface["near"].value, self.surface["far"].value = NEAR, FAR
        self.surface["pixels"].value = size

    def _shade(self, kind: int) -> Pass:
        """The shading of clothes of one pattern, compiled when first needed."""
        if kind not in self.shades:
            shader = SHADE.replace("KIND", str(kind))
            shade = Pass(self.context, shader, self.textures, self.blur.sharp)
            shade.program["near"].value, shade.program["far"].value = NEAR, FAR
            shade.program["size"].value = self.size
            self.shades[kind] = shade
        return self.shades[kind]

    def draw(
        self, mesh: Mesh, matrices: np.ndarray, changes: np.ndarray, uniforms: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Pictures (N, S, S, 4) float32, premultiplied linear RGB and coverage, of N poses.

        ``matrices`` (N, bones, 3, 4) of the middle of an exposure; ``changes``, alike, are those of
        its end less those of its start; ``uniforms`` are the shader's.
        """
        with self.context:  # another painter of this process may have been drawing
            return self._draw(mesh, matrices, changes, uniforms)

    def _draw(
        self, mesh: Mesh, matrices: np.ndarray, changes: np.ndarray, uniforms: dict[str, np.ndarray]
    ) -> np.ndarray:
        gl = self.context
        kept, triangles = np.unique(mesh.triangles, return_inverse=True)
        columns = {name: getattr(mesh, name)[kept] for name in ATTRIBUTES}
        mesh = Mesh(**columns, triangles=triangles)
        moving = skinned(mesh, matrices, changes)  # (N, V, 9)
        boxes = self._boxes(moving[..., :3], uniforms)
        fixed = np.concatenate([mesh.colour, mesh.canon, mesh.field], 1).astype("f4")
        vertices, looks = gl.buffer(reserve=moving[0].nbytes), gl.buffer(fixed.tobytes())
        indices = gl.buffer(triangles.astype("i4").tobytes())
        content = [
            (vertices, "3f 3f 3f", "position", "normal", "change"),
            (looks, "3f 3f 3f", "colour", "canon", "field"),
        ]
        array = gl.vertex_array(self.surface, content, indices)
        caster = gl.vertex_array(self.caster, [(vertices, "3f 24x", "position")], indices)
        shade = self._shade(int(uniforms["pattern"][0]))
        for name, value in uniforms.items():
            for program in (self.surface, self.caster, shade.program):
                if name in program:
                    program[name].write(np.ascontiguousarray(value, "f4").tobytes())
        pictures = np.empty((len(matrices), self.size, self.size, 4), np.float32)
        for start in range(0, len(matrices), TILES):
            part = moving[start : start + TILES]
            gl.enable(gl.DEPTH_TEST | gl.CULL_FACE)
            self._each(self.canvas, self.size * SIDE, part, vertices, array)
            if uniforms["dark"] > 0:
                self._each(self.shadow, SHADOW, part, vertices, caster)
            gl.disable(gl.DEPTH_TEST | gl.CULL_FACE)
            shade(boxes[start : start + TILES])
            data = self.blur()[:, : len(part)]
            pictures[start : start + len(part)] = data.transpose(1, 0, 2, 3)
        for thing in (array, caster, vertices, looks, indices):
            thing.release()
        return pictures

    def _boxes(self, places: np.ndarray, uniforms: dict[str, np.ndarray]) -> list[list[int]]:
        """Corner and sides (x, y, w, h) in pixels of what is drawn of each pose (N, V, 3)."""
        seen = places @ np.asarray(uniforms["turn"], np.float32) + uniforms["move"].astype("f4")
        screen = seen[..., :2] / np.maximum(seen[..., 2:], NEAR) * uniforms["focal"].astype("f4")
        corners = np.stack([screen.min(1), screen.max(1)])
        low, high = np.floor((corners + 1) / 2 * self.size)
        low, high = (np.clip(v, 0, self.size).astype(int) for v in (low, high + 1))
        return np.concatenate([low, high - low], 1).tolist()

    def _each(
        self, target: "moderngl.Framebuffer", side: int, poses: np.ndarray,
        vertices: "moderngl.Buffer", array: "moderngl.VertexArray",
    ) -> None:  # fmt: skip
        """Draws every pose into a square of ``side``, from left to right."""
        target.use()
        target.viewport = (0, 0, side * TILES, side)
        target.clear()
        for tile, values in enumerate(poses):
            vertices.write(values)
            target.viewport = target.scissor = (tile * side, 0, side, side)
            array.render()
        target.scissor = None  # type: ignore[assignment]  # None: all of it


def skinned(mesh: Mesh, matrices: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Position, normal and movement (N, V, 9) float32 of all vertices in N poses."""
    count, bones, vertices = len(matrices), matrices.shape[1], len(mesh.position)
    point = np.concatenate([mesh.position, np.ones((vertices, 1))], 1)
    spread = np.zeros((2, bones, 4, vertices), np.float32)  # of positions and of normals
    every = np.arange(vertices)
    for k in range(mesh.bone.shape[1]):
        bone, weight = mesh.bone[:, k].astype(int), mesh.weight[:, k : k + 1]
        spread[0, bone, :, every] += weight * point
        spread[1, bone, :3, every] += weight * mesh.normal
    places, normals = spread.reshape(2, bones * 4, vertices)

    def rows(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32).transpose(0, 2, 1, 3).reshape(count * 3, bones * 4)

    middle = rows(matrices)
    result = np.empty((count, vertices, 3, 3), np.float32)
    for column, product in enumerate((middle @ places, middle @ normals, rows(changes) @ places)):
        result[:, :, column] = product.reshape(count, 3, vertices).transpose(0, 2, 1)
    return result.reshape(count, vertices, 9)
