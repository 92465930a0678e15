"""Motion blur of a drawn picture, along the movement of its pixels.

After McGuire, Hennessy, Bukowski and Osman, "A Reconstruction Filter for Plausible Motion Blur"
(I3D 2012): the fastest movement in a cell of the picture and around it says where a pixel looks
for what passed over it. Coverage is smeared like premultiplied colour, so a moving silhouette
smears over any background.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import moderngl

CELLS = 14  # along each side of a picture; each has one dominant movement
REACH = 3  # cells; longer smears are cut: 43 % of a picture's width
TAPS = 9
LEAST = 0.7  # pixels of movement during the exposure; antialiasing hides less

SCREEN = """
#version 330
void main() { gl_Position = vec4(vec2(gl_VertexID % 2, gl_VertexID / 2) * 4. - 1., 0., 1.); }
"""

COMMON = f"""
#version 330
uniform int size; // of a picture; pictures lie side by side
const int cells = {CELLS}, reach = {REACH}, taps = {TAPS};
const float least = {LEAST};
"""

FASTEST = (  # of the pixels of each cell
    COMMON
    + """
uniform sampler2D movement;
out vec2 fastest;
void main() {
    ivec2 cell = ivec2(gl_FragCoord.xy);
    int first = cell.x / cells * size;
    ivec2 low = ivec2(cell.x % cells, cell.y) * size / cells;
    ivec2 high = (ivec2(cell.x % cells, cell.y) + 1) * size / cells;
    float most = 0.; fastest = vec2(0.);
    for (int y = low.y; y < high.y; y++) for (int x = low.x; x < high.x; x++) {
        vec2 v = texelFetch(movement, ivec2(first + x, y), 0).xy;
        if (dot(v, v) > most) { most = dot(v, v); fastest = v; }
    }
    float longest = 2. * float(reach * size) / float(cells);
    fastest *= min(1., longest / max(sqrt(most), 1e-3));
}
"""
)

DOMINANT = (  # of what may come by: the fastest of a cell and of those whose movement reaches it
    COMMON
    + """
uniform sampler2D fastest;
out vec2 dominant;
void main() {
    ivec2 cell = ivec2(gl_FragCoord.xy);
    int first = cell.x / cells * cells;
    float side = float(size) / float(cells), most = 0.; dominant = vec2(0.);
    for (int y = -reach; y <= reach; y++) for (int x = -reach; x <= reach; x++) {
        ivec2 other = cell + ivec2(x, y);
        if (other.x < first || other.x >= first + cells) continue;
        if (other.y < 0 || other.y >= cells) continue;
        vec2 v = texelFetch(fastest, other, 0).xy;
        float speed = length(v);
        vec2 way = vec2(x, y) * side, along = v / max(speed, 1e-3);
        bool comes = abs(dot(way, along)) < .5 * speed + side
            && abs(way.x * along.y - way.y * along.x) < 1.4 * side;
        if (comes && speed > most) { most = speed; dominant = v; }
    }
}
"""
)

SMEAR = (
    COMMON
    + """
uniform sampler2D picture; uniform sampler2D movement; uniform sampler2D dominant;
out vec4 result;
void main() {
    ivec2 here = ivec2(gl_FragCoord.xy);
    int first = here.x / size * size;
    vec4 own = texelFetch(picture, here, 0);
    ivec2 cell = ivec2(here.x - first, here.y) * cells / size + ivec2(here.x / size * cells, 0);
    vec2 way = texelFetch(dominant, cell, 0).xy;
    float length_ = length(way);
    result = own;
    // llvmpipe leaves a loop early, but runs what stands after a condition in any case.
    int count = length_ > least ? taps : 0;
    if (length_ > least) {
        vec2 along = way / length_;
        float reaches = .5 * abs(dot(texelFetch(movement, here, 0).xy, along)) / max(own.a, .1);
        // Neighbours start at other parts of a step: an ordered pattern instead of bands.
        float start = float((here.x + 2 * here.y) & 3) * .25 - .375;
        ivec2 low = ivec2(first, 0), high = ivec2(first + size - 1, size - 1);
        vec4 sum = vec4(0.);
        for (int k = 0; k < count; k++) {
            float away = ((float(k) + .5 + start) / float(taps) - .5) * length_;
            ivec2 there = clamp(ivec2(gl_FragCoord.xy + away * along), low, high);
            vec4 seen = texelFetch(picture, there, 0);
            float speed = .5 * abs(dot(texelFetch(movement, there, 0).xy, along));
            float far = max(reaches, speed / max(seen.a, .1)) - abs(away);
            sum += mix(own, seen, clamp(far + 1., 0., 1.));
        }
        result = sum / float(taps);
    }
}
"""
)


class Pass:
    """A fragment shader over all of a framebuffer, reading ``textures`` by the uniforms' names."""

    def __init__(
        self, context: "moderngl.Context", shader: str, textures: "dict[str, moderngl.Texture]",
        into: "moderngl.Framebuffer",
    ) -> None:  # fmt: skip
        make: Any = context.program  # its members are of four kinds, which stubs cannot tell
        self.program = make(vertex_shader=SCREEN, fragment_shader=shader)
        self.array, self.into = context.vertex_array(self.program, []), into
        self.textures = [texture for name, texture in textures.items() if name in self.program]
        for unit, name in enumerate(name for name in textures if name in self.program):
            self.program[name].value = unit

    def __call__(self, boxes: list[list[int]] | None = None) -> None:
        """Runs it; depth test and culling must be off.

        ``boxes`` (x, y, w, h), one a picture from left to right, are all that is drawn; the rest
        becomes zero.
        """
        self.into.use()
        for unit, texture in enumerate(self.textures):
            texture.filter = (self.array.ctx.NEAREST,) * 2
            texture.use(unit)
        if boxes is None:
            self.array.render(self.array.ctx.TRIANGLES, vertices=3)
            return
        self.into.clear()
        for tile, (x, y, width, height) in enumerate(boxes):
            self.into.scissor = (tile * self.into.height + x, y, width, height)
            self.array.render(self.array.ctx.TRIANGLES, vertices=3)
        self.into.scissor = None  # type: ignore[assignment]  # None: all of it


class Blur:
    """The passes over a row of ``tiles`` pictures of ``size`` pixels, in one OpenGL context.

    ``sharp`` takes what is blurred: premultiplied colour and coverage, and movement in pixels
    times coverage.
    """

    def __init__(self, context: "moderngl.Context", size: int, tiles: int) -> None:
        self.size, self.tiles = size, tiles
        area, cells = (size * tiles, size), (CELLS * tiles, CELLS)
        picture, movement, result, fastest, dominant = (
            context.texture(where, channels, dtype="f2")
            for where, channels in ((area, 4), (area, 2), (area, 4), (cells, 2), (cells, 2))
        )
        self.sharp = context.framebuffer([picture, movement])
        read = {"picture": picture, "movement": movement, "fastest": fastest, "dominant": dominant}
        self.passes = [
            Pass(context, shader, read, context.framebuffer([into]))
            for shader, into in ((FASTEST, fastest), (DOMINANT, dominant), (SMEAR, result))
        ]
        for one in self.passes:
            one.program["size"].value = size

    def __call__(self) -> np.ndarray:
        """The blurred pictures: half floats (S, tiles, S, 4), top row first."""
        for one in self.passes:
            one()
        data = np.frombuffer(self.passes[-1].into.read(components=4, dtype="f2"), np.float16)
        return data.reshape(self.size, self.tiles, self.size, 4)[::-1]
