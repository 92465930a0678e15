"""The shaders that draw a person: surfaces first, then their colours.

Triangles are hardly larger than a pixel and llvmpipe shades whole 4 x 4 blocks for each, so while
triangles are drawn only what they are is kept, and light falls once on each pixel that remains.
llvmpipe also runs both sides of every branch: the clothes' pattern is compiled in.
"""

SIDE = 2  # samples along each side of a pixel
VERTEX = """
#version 330
in vec3 position; in vec3 normal; in vec3 change; in vec3 colour; in vec3 canon; in vec3 field;
uniform mat3 turn; uniform vec3 move; uniform vec2 focal; uniform float pixels;
uniform float near; uniform float far;
out vec3 v_normal; out vec3 v_colour; out vec3 v_canon; out vec3 v_field;
out vec2 v_moved;
void main() {
    v_normal = normal; v_colour = colour; v_canon = canon; v_field = field;
    vec3 seen = turn * position + move, half_way = .5 * (turn * change);
    vec3 first = seen - half_way, last = seen + half_way;
    v_moved = .5 * pixels * focal * (last.xy / max(last.z, near) - first.xy / max(first.z, near));
    gl_Position = vec4(seen.xy * focal,
                       ((far + near) * seen.z - 2.0 * far * near) / (far - near), seen.z);
}
"""

SURFACE = """
#version 330
in vec3 v_normal; in vec3 v_colour; in vec3 v_canon; in vec3 v_field; in vec2 v_moved;
layout(location = 0) out vec4 normal; layout(location = 1) out vec4 colour;
layout(location = 2) out vec4 canon; layout(location = 3) out vec2 moved;
void main() {
    normal = vec4(v_normal, v_field.x); canon = vec4(v_canon, v_field.y);
    colour = vec4(v_colour, v_field.z); moved = v_moved;
}
"""

SHADOW_VERTEX = """
#version 330
in vec3 position;
uniform mat3 sun; uniform vec3 middle;
void main() { gl_Position = vec4(sun * (position - middle), 1.0); }
"""
SHADOW_FRAGMENT = "#version 330\nvoid main() {}"

SHADE = (  # ``KIND`` of pattern is put in by ``str.replace``
    f"#version 330\nconst int side = {SIDE}, kind = KIND;\n"
    + """
uniform sampler2D depths; uniform sampler2D normals; uniform sampler2D colours;
uniform sampler2D canons; uniform sampler2D moves; uniform sampler2D shadow;
uniform mat3 turn; uniform vec3 move; uniform vec2 focal; uniform float near; uniform float far;
uniform int size;
uniform vec3 sh[9]; uniform vec3 key; uniform vec3 key_colour; uniform vec3 eye;
uniform vec3 glow; uniform vec3 cloth[3]; uniform vec3 hair; uniform vec4 pattern;
uniform float shine; uniform float folds; uniform float trim;
uniform mat3 sun; uniform vec3 middle; uniform float dark;
layout(location = 0) out vec4 result; layout(location = 1) out vec2 moved;
float lit(vec3 place, vec3 normal, int tile) { // how much of the key light arrives
    if (dark <= 0.) return 1.;
    vec3 p = .5 * (sun * (place + .006 * normalize(normal) - middle)) + .5;
    int wide = textureSize(shadow, 0).y;
    vec2 at = clamp(p.xy * float(wide) - .5, vec2(0.), vec2(float(wide) - 1.01));
    ivec2 first = ivec2(at); vec2 f = at - vec2(first); first.x += tile * wide;
    vec4 free;
    for (int k = 0; k < 4; k++)
        free[k] = p.z - .004 < texelFetch(shadow, first + ivec2(k % 2, k / 2), 0).r ? 1. : 0.;
    return mix(1., mix(mix(free.x, free.y, f.x), mix(free.z, free.w, f.x), f.y), dark);
}
float hash(vec3 p) { p = fract(p * vec3(.1031, .1030, .0973)); p += dot(p, p.yzx + 33.33);
    return fract((p.x + p.y) * p.z); }
vec2 pair(vec3 i, vec3 f) {
    return vec2(mix(hash(i), hash(i + vec3(1, 0, 0)), f.x),
                mix(hash(i + vec3(0, 1, 0)), hash(i + vec3(1, 1, 0)), f.x));
}
float noise(vec3 p) {
    vec3 i = floor(p), f = fract(p);
    f = f * f * (3. - 2. * f);
    vec2 sides = mix(pair(i, f), pair(i + vec3(0, 0, 1), f), f.z);
    return mix(sides.x, sides.y, f.y);
}
float band(float at, float share, float wide) { // of stripes 1 apart, seen ``wide`` wide
    float inside = .5 * share - abs(fract(at - .5 * share + .5) - .5);
    return clamp(inside / max(wide, 1e-3) + .5, 0., 1.);
}
vec3 clothing(vec3 p, vec3 wide) {
    float s = pattern.y;
    vec3 a = cloth[0], b = cloth[1], c = cloth[2];
    if (kind == 1) return mix(a, b, band(p.y * s, pattern.z, wide.y * s));
    if (kind == 2) return mix(a, b, band(p.x * s, pattern.z, wide.x * s));
    if (kind == 3) {
        float u = band(p.x * s, pattern.z, wide.x * s), v = band(p.y * s, pattern.z, wide.y * s);
        return mix(a, b, .5 * (u + v)) + c * .3 * band(p.x * s + .3, .08, wide.x * s); }
    if (kind == 4) { // a print on the chest
        vec2 q = (p.xy - vec2(0., .52)) / vec2(.10, .06 * pattern.w);
        bool inside = abs(q.x) < 1. && abs(q.y) < 1. && p.z < 0.;
        float ink = noise(vec3(p.xy * s * 4., 3.)); return inside && ink > .45 ? b : a; }
    if (kind == 5) return abs(p.x) > .17 ? b : a;
    if (kind == 6) return mix(a, b, smoothstep(.5, .6, noise(p * s * 3.)));
    if (kind == 7) return abs(p.x + .01) < .035 + .1 * pattern.z * (p.y - .3) ? b : a; // open
    return a;
}
vec3 shaded(vec3 normal, vec3 place, vec3 colour, vec3 canon, vec3 field, vec3 wide, int tile) {
    vec3 n = normalize(normal); vec3 albedo = colour; float gloss = shine, soft = .25;
    vec3 view = normalize(eye - place);
    if (dot(n, view) < -0.2) n = -n;
    if (field.x > 0.) {
        albedo = field.x < trim ? cloth[2] : clothing(canon, wide); gloss = 0.; soft = 0.05;
        vec3 q = canon * vec3(38., 21., 33.);
        q += 2. * sin(canon.zxy * vec3(23., 31., 17.) + pattern.y);
        n = normalize(n + .22 * folds * cos(q.yzx + sin(q.zxy)));
        albedo *= .93 + .14 * hash(floor(canon * 400.));
    } else if (field.y > 0.) {
        float strand = noise(canon * vec3(160., 28., 90.));
        albedo = hair * (.55 + .9 * strand); gloss = .15; soft = .15;
    } else albedo *= .93 + .14 * hash(floor(canon * 250.));
    vec3 ambient = sh[0] + sh[1] * n.y + sh[2] * n.z + sh[3] * n.x
        + sh[4] * n.x * n.y + sh[5] * n.y * n.z + sh[6] * (3. * n.z * n.z - 1.)
        + sh[7] * n.x * n.z + sh[8] * (n.x * n.x - n.y * n.y);
    ambient = max(ambient, vec3(0.02)) * field.z;
    float lambert = dot(n, key);
    vec3 wrap = max((vec3(lambert) + soft * vec3(1., .5, .35)) / (1. + soft), 0.);
    vec3 to_eye = eye - place; float near = dot(to_eye, to_eye);
    vec3 screen = glow * max(dot(n, view) * .8 + .2, 0.) / max(near, .04);
    float spark = pow(max(dot(n, normalize(key + view)), 0.), 24.);
    vec3 arriving = key_colour * lit(place, normal, tile);
    vec3 light = albedo * (ambient + arriving * wrap + screen) + gloss * spark * arriving;
    return light;
}
float distance_(float depth) {
    return 2. * far * near / (far + near - (2. * depth - 1.) * (far - near));
}
void main() {
    ivec2 here = ivec2(gl_FragCoord.xy); int tile = here.x / size;
    result = vec4(0.); moved = vec2(0.);
    float nearest = far, farthest = 0.; int covered = 0;
    vec3 least = vec3(1.), most = vec3(-1.), low = vec3(9.), high = vec3(-9.);
    vec4 n_sum = vec4(0.), c_sum = vec4(0.), p_sum = vec4(0.);
    for (int k = 0; k < side * side; k++) {
        ivec2 at = side * here + ivec2(k % side, k / side);
        float depth = texelFetch(depths, at, 0).r;
        if (depth == 1.) continue;
        float z = distance_(depth);
        vec4 n = texelFetch(normals, at, 0), p = texelFetch(canons, at, 0);
        n_sum += n; p_sum += p; c_sum += texelFetch(colours, at, 0);
        moved += texelFetch(moves, at, 0).xy;
        vec3 kind = vec3(n.w, p.w, z);
        low = min(low, p.xyz); high = max(high, p.xyz);
        least = min(least, kind); most = max(most, kind); nearest = min(nearest, z);
        farthest = max(farthest, z); covered++;
    }
    moved /= float(side * side);
    // Samples lie half a pixel apart.
    vec3 wide = min(float(side) * (high - low), .1);
    // One surface is lit once; where several meet in a pixel, each sample is.
    bool one = farthest - nearest < .015 && least.x * most.x > 0. && least.y * most.y > 0.;
    vec2 screen = (2. * (gl_FragCoord.xy - vec2(tile * size, 0)) / float(size) - 1.) / focal;
    int times = covered == 0 ? 0 : one ? 1 : side * side;
    for (int k = 0; k < times; k++) {
        float z = .5 * (nearest + farthest), weight = float(covered);
        vec4 n = n_sum / weight, c = c_sum / weight, p = p_sum / weight;
        if (!one) {
            ivec2 at = side * here + ivec2(k % side, k / side);
            float depth = texelFetch(depths, at, 0).r;
            if (depth == 1.) continue;
            z = distance_(depth); weight = 1.; n = texelFetch(normals, at, 0);
            c = texelFetch(colours, at, 0); p = texelFetch(canons, at, 0);
        }
        vec3 place = (vec3(screen * z, z) - move) * turn;
        vec3 field = vec3(n.w, p.w, c.w);
        result += weight * vec4(shaded(n.xyz, place, c.xyz, p.xyz, field, wide, tile), 1.);
    }
    result /= float(side * side);
}
"""
)
