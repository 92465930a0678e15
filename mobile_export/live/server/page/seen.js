// What of the picture the model sees: the square that is drawn on it, and which side is left.

const element = (id) => document.getElementById(id);
const LEAST = 0.1; // of a side; what is smaller was no drawing
// Parts of the picture as it is in the world, where your left is on the right: x, y, width, height.
const PARTS = { middle: null, left: [0.5, 0, 0.5, 1], right: [0, 0, 0.5, 1] };

// `changed` gets {mirror, box} for the server when somebody has chosen; box is null for the middle.
export function makeSeen(video, changed) {
  let mirror = false;
  let box = null;
  let known = false; // the server's own choice has been taken over, or there is one of before
  let start = null; // where the pointer went down
  const frame = element("frame");
  if (history.state?.view) {
    ({ mirror, box } = history.state.view);
    known = true;
  }

  function greet(view) {
    if (!known) ({ mirror, box } = view);
    known = true;
    element("mirrored").checked = mirror;
    element("part").value = nameOf(box);
    show();
    return { mirror, box };
  }

  function choose() {
    show();
    changed({ mirror, box });
  }

  // The picture on the page is always as in a mirror: a camera's that is one already stays as it is.
  function show(part = box) {
    video.classList.toggle("as-it-is", mirror);
    const { videoWidth: width, videoHeight: height } = video;
    if (!width || !height) return;
    const [x, y, w, h] = part ?? [0, 0, 1, 1];
    const side = Math.min(w * width, h * height);
    const [across, down] = [side / width, side / height];
    const style = element("seen").style;
    style.left = percent(1 - (x + (w - across) / 2) - across);
    style.top = percent(y + (h - down) / 2);
    style.width = percent(across);
    style.height = percent(down);
  }

  function place(event) {
    const { left, top, width, height } = frame.getBoundingClientRect();
    const within = (value) => Math.min(1, Math.max(0, value));
    return [within(1 - (event.clientX - left) / width), within((event.clientY - top) / height)];
  }

  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || ![video, element("seen")].includes(event.target)) return;
    start = place(event);
    frame.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  // Since the pointer went down; null for what is too small.
  function drawn(event) {
    const [[ax, ay], [bx, by]] = [start, place(event)];
    const [w, h] = [Math.abs(ax - bx), Math.abs(ay - by)];
    return Math.min(w, h) < LEAST ? null : [Math.min(ax, bx), Math.min(ay, by), w, h];
  }

  frame.addEventListener("pointermove", (event) => {
    if (start) show(drawn(event) ?? box);
  });
  frame.addEventListener("pointerup", (event) => {
    if (!start) return;
    const part = drawn(event);
    start = null;
    if (!part) return show();
    box = part;
    element("part").value = "drawn";
    choose();
  });
  frame.addEventListener("pointercancel", () => {
    start = null;
    show();
  });
  element("part").addEventListener("change", ({ target }) => {
    box = PARTS[target.value];
    choose();
  });
  element("mirrored").addEventListener("change", ({ target }) => {
    mirror = target.checked;
    choose();
  });
  video.addEventListener("resize", () => show());
  return { greet, chosen: () => ({ mirror, box }) };
}

function nameOf(box) {
  const same = ([, part]) => JSON.stringify(part) === JSON.stringify(box);
  return Object.entries(PARTS).find(same)?.[0] ?? "drawn";
}

function percent(part) {
  return `${100 * part}%`;
}
