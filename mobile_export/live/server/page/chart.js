// Confidences of the last seconds as lines: the gestures that got anywhere, and none in grey.

const SECONDS = 15;
const SHOWN = 0.2; // a gesture is drawn if it had at least so much
const GAP = 0.5; // seconds without an answer after which a line is broken
const COLOURS = ["first", "second", "third", "fourth", "fifth", "sixth"];
const NONE = "none of them";

// Draws into `canvas` and keeps `legend` in step. `add` takes an answer, `clear` starts anew.
export function makeChart(canvas, legend, labels, noneLabels, threshold) {
  const none = labels.map((label) => noneLabels.includes(label));
  const colours = new Map(); // of the gestures that are drawn now
  let points = []; // {seconds, chances, none, current}
  let named = "";

  function add(answer) {
    const chances = answer.probabilities;
    const sum = chances.reduce((total, chance, i) => total + (none[i] ? chance : 0), 0);
    if (points.length && answer.seconds < points.at(-1).seconds) points = [];
    points.push({ seconds: answer.seconds, chances, none: sum, current: answer.current });
    while (points[0].seconds < answer.seconds - SECONDS) points.shift();
    draw();
  }

  function clear() {
    points = [];
    draw();
  }

  function choose() {
    const seen = labels.map((_, i) => i).filter((i) => !none[i]);
    const most = new Map(seen.map((i) => [i, Math.max(0, ...points.map((p) => p.chances[i]))]));
    const shown = seen.filter((i) => most.get(i) >= SHOWN);
    const kept = shown.sort((a, b) => most.get(b) - most.get(a)).slice(0, COLOURS.length);
    for (const i of [...colours.keys()]) if (!kept.includes(i)) colours.delete(i);
    for (const i of kept) {
      const free = COLOURS.find((name) => ![...colours.values()].includes(name));
      if (!colours.has(i)) colours.set(i, free); // a line keeps its colour while it is drawn
    }
    return kept.sort((a, b) => a - b);
  }

  function draw() {
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const scale = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    const size = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `12px ${style.fontFamily}`;
    const [left, right, top, bottom] = [42, 8, 8, 22];
    const end = points.length ? points.at(-1).seconds : 0;
    const x = (seconds) => width - right - ((end - seconds) / SECONDS) * (width - left - right);
    const y = (chance) => top + (1 - chance) * (height - top - bottom);

    pen.fillStyle = colour("track"); // while an event is open
    for (const [from, to] of open(points)) {
      const start = Math.max(x(from), left);
      pen.fillRect(start, y(1), x(to) - start, y(0) - y(1));
    }
    pen.lineWidth = 1;
    for (const [chance, dash] of [[0, []], [threshold, [4, 4]], [1, []]]) {
      pen.strokeStyle = colour(dash.length ? "muted" : "line");
      line(pen, dash, [[left, y(chance)], [width - right, y(chance)]]);
      pen.fillStyle = colour("muted");
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      pen.fillText(`${Math.round(100 * chance)} %`, left - 6, y(chance));
    }
    pen.textBaseline = "top";
    for (let ago = 0; ago <= SECONDS; ago += 5) {
      pen.textAlign = ago === SECONDS ? "left" : ago ? "center" : "right";
      pen.fillText(ago ? `${ago} s ago` : "now", x(end - ago), y(0) + 6);
    }
    const kept = choose();
    pen.lineWidth = 1.5;
    curve(pen, colour("rest"), (point) => point.none);
    pen.lineWidth = 2.25;
    for (const i of kept) curve(pen, colour(colours.get(i)), (point) => point.chances[i]);
    name(kept);

    function curve(pen, stroke, value) {
      pen.strokeStyle = stroke;
      let part = [];
      points.forEach((point, i) => {
        if (i && point.seconds - points[i - 1].seconds > GAP) {
          line(pen, [], part);
          part = [];
        }
        part.push([x(point.seconds), y(value(point))]);
      });
      line(pen, [], part);
    }
  }

  function name(kept) {
    const text = kept.map((i) => `${i}${colours.get(i)}`).join();
    if (text === named && legend.childElementCount) return;
    named = text;
    const rows = [...kept.map((i) => [labels[i], colours.get(i)]), [NONE, "rest"]];
    legend.replaceChildren(
      ...rows.map(([label, colour]) => {
        const item = document.createElement("li");
        const mark = document.createElement("i");
        mark.style.background = `var(--${colour})`;
        item.append(mark, label);
        return item;
      }),
    );
  }

  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return { add, clear };
}

// From when to when an event was open, in seconds.
function open(points) {
  const spans = [];
  points.forEach((point, i) => {
    if (!point.current) return;
    const last = spans.at(-1);
    if (i && last && points[i - 1].current) last[1] = point.seconds;
    else spans.push([points[Math.max(0, i - 1)].seconds, point.seconds]);
  });
  return spans;
}

function line(pen, dash, corners) {
  pen.setLineDash(dash);
  pen.beginPath();
  for (const [x, y] of corners) pen.lineTo(x, y);
  if (corners.length === 1) pen.lineTo(corners[0][0] + 2, corners[0][1]); // a dot, or it is unseen
  pen.stroke();
}
