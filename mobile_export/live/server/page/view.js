// What the page says about answers: the gesture, the likeliest labels, events, latency and counts.

import { makeChart } from "./chart.js";

const TOP = 5;
const EVENTS = 30; // kept in the list
const KEPT = 100; // answers that medians are taken of
const STAGES = [
  ["encode", "JPEG, in the browser"],
  ["decode", "JPEG, in the server"],
  ["preprocess", "resize and normalise"],
  ["execute", "model"],
  ["postprocess", "decision"],
  ["whole", "from the frame to the answer"],
];

const element = (id) => document.getElementById(id);
const percent = (share) => `${Math.round(100 * share)} %`;

// A view for the model that `hello` tells of; `answer` shows one, `rates` and `forget` the rest.
export function makeView(hello) {
  const chart = makeChart(
    element("chart"), element("legend"), hello.labels, hello.none_labels, hello.threshold,
  );
  const times = new Map(STAGES.map(([stage]) => [stage, []]));
  const cells = new Map(STAGES.map(([stage, title]) => [stage, stageRow(stage, title)]));
  const bars = Array.from({ length: TOP }, topRow);
  let slow = 0; // counts of the camera's frames, one after the other, that were too few
  let open = null; // the list's entry of the event that is going on
  element("stages").tBodies[0].replaceChildren(...[...cells.values()].map((row) => row.row));
  element("top").replaceChildren(...bars.map((bar) => bar.item));
  introduce(hello);

  function answer(message, browser) {
    gesture(message);
    likeliest(message.probabilities);
    chart.add(message);
    for (const event of message.ended) close(event);
    if (message.started) begin(message);
    latency({ ...message.ms, ...browser });
    element("dropped").textContent = message.dropped + browser.skipped;
    element("missed").textContent = message.missed;
  }

  function gesture(message) {
    const text = message.current ?? "No gesture";
    const line = element("gesture");
    if (line.textContent !== text) line.textContent = text;
    line.classList.toggle("none", !message.current);
    // That of the gesture that is shown; the best one's while there is none.
    const share = message.current
      ? message.probabilities[hello.labels.indexOf(message.current)]
      : message.confidence;
    fill(element("meter"), share);
    element("meter").setAttribute("aria-valuenow", Math.round(100 * share));
    element("percent").textContent = percent(share);
  }

  function likeliest(chances) {
    const order = chances.map((chance, i) => [chance, i]).sort((a, b) => b[0] - a[0]);
    bars.forEach((bar, rank) => {
      if (rank >= order.length) return;
      const [chance, i] = order[rank];
      bar.name.textContent = hello.labels[i];
      bar.name.classList.toggle("quiet", hello.none_labels.includes(hello.labels[i]));
      fill(bar.bar, chance);
      bar.share.textContent = percent(chance);
    });
  }

  function begin(message) {
    close(null);
    open = document.createElement("li");
    const tags = ["time", "strong", "span"];
    const [time, label, rest] = tags.map((tag) => document.createElement(tag));
    time.textContent = new Date().toLocaleTimeString([], { hourCycle: "h23" });
    label.textContent = message.started;
    rest.textContent = "now";
    open.append(time, label, rest);
    open.classList.add("open");
    element("no-events").hidden = true;
    element("events").prepend(open);
    element("spoken").textContent = message.started;
    while (element("events").childElementCount > EVENTS) element("events").lastChild.remove();
  }

  // Ends the entry that is open; `event` is null when nobody knows how it ended.
  function close(event) {
    if (!open) return;
    open.classList.remove("open");
    const length = event ? (event.end - event.start + 1 / hello.rate).toFixed(1) : "";
    open.lastChild.textContent = event ? `${length} s, ${percent(event.confidence)}` : "cut off";
    if (event) element("last").textContent = `Last: ${event.label}, ${percent(event.confidence)}`;
    element("spoken").textContent = ""; // or the same gesture again would not be announced
    open = null;
  }

  function latency(ms) {
    for (const [stage] of STAGES) {
      const kept = times.get(stage);
      if (ms[stage] === undefined) continue;
      kept.push(ms[stage]);
      if (kept.length > KEPT) kept.shift();
      const { now, median } = cells.get(stage);
      now.textContent = milliseconds(ms[stage]);
      median.textContent = milliseconds([...kept].sort((a, b) => a - b)[kept.length >> 1]);
    }
  }

  function rates(camera, model) {
    element("camera-rate").textContent = `${camera} frames/s`;
    element("model-rate").textContent = `${model} of ${hello.rate}/s`;
    // Twice in a row: a camera that starts, or a tab that was hidden, is no slow camera.
    slow = camera > 0 && camera < hello.least_rate ? slow + 1 : 0;
    element("slow").hidden = slow < 2;
    element("slow").textContent =
      `The camera gives ${camera} frames a second and the model needs ${hello.rate}: gestures are ` +
      "missed. Give more light, or take a faster camera.";
  }

  function forget() {
    close(null);
    chart.clear();
    gesture({ current: null, confidence: 0 });
  }

  return { answer, rates, forget };
}

function introduce(hello) {
  element("bundle").textContent = hello.bundle;
  element("rendered").hidden = !hello.rendered;
  element("interpreted").hidden = hello.timed;
  element("interpreted").textContent =
    `Executed here by: ${hello.runner}. Its times mean nothing, and it may be too slow to follow ` +
    "a camera. An XNNPACK bundle is executed by the runtime that a phone has.";
  element("untimed").hidden = hello.timed;
  element("stages").classList.toggle("untimed", !hello.timed);
  const known = hello.labels.filter((label) => !hello.none_labels.includes(label));
  element("known-count").textContent = known.length;
  element("known").replaceChildren(
    ...known.map((label) => Object.assign(document.createElement("li"), { textContent: label })),
  );
}

function milliseconds(value) {
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

function stageRow(stage, title) {
  const row = document.createElement("tr");
  const head = Object.assign(document.createElement("th"), { scope: "row", textContent: title });
  const [now, median] = ["-", "-"].map((textContent) =>
    Object.assign(document.createElement("td"), { className: "number", textContent }),
  );
  row.append(head, now, median);
  row.classList.toggle("whole", stage === "whole");
  return { row, now, median };
}

function topRow() {
  const item = document.createElement("li");
  const [name, bar, share] = ["", "bar", "number"].map((className) =>
    Object.assign(document.createElement("span"), { className }),
  );
  bar.append(document.createElement("i"));
  bar.setAttribute("aria-hidden", "true"); // the number beside it says the same
  item.append(name, bar, share);
  return { item, name, bar, share };
}

function fill(bar, share) {
  bar.firstElementChild.style.width = `${100 * share}%`;
}
