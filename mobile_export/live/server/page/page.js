// The page: one camera, one connection, one frame on its way at a time.

import { ASKING, LOST, problemOf } from "./camera.js";
import { encode, listCameras, openCamera, watchFrames } from "./camera.js";
import { makeLink } from "./link.js";
import { makeLesson } from "./lesson.js";
import { makeRecorder } from "./record.js";
import { makeSeen } from "./seen.js";
import { makeView } from "./view.js";

const element = (id) => document.getElementById(id);
const video = element("video");
const canvas = document.createElement("canvas");

// Why no frames are sent now, the most telling first; each is null or {title, text, button, action}.
const obstacles = { link: null, hidden: null, camera: ASKING };
const keptCamera = history.state?.camera; // from before a reload; the recorder clears it
let view = null;
let served = ""; // what the view was made for
let ready = false; // the server has greeted and takes a frame
let stream = null;
let opening = 0; // number of the latest attempt: an older one that succeeds is closed again
let counted = { since: performance.now(), frames: 0, answers: 0 };
let skipped = 0; // frames that came while the one before was on its way
const sent = new Map(); // seconds -> {at, encode}, of frames that may still be answered

const link = makeLink({
  message(message) {
    if (message.type === "hello") return greet(message);
    if (message.type === "next") ready = true;
    else if (message.type === "answer") answered(message);
    else {
      recorder.message(message);
      lesson.message(message);
    }
  },
  lost(wait) {
    disconnected("no server", {
      title: "The server does not answer",
      text: `It may have been stopped: start it again in its terminal. Next try in ${wait} s.`,
      button: "Try now",
      action: () => link.connect(),
    });
  },
  taken() {
    closeCamera();
    disconnected("in another tab", {
      title: "Open in another tab",
      text: "This page was opened again, and the newer one has the camera's stream now.",
      button: "Use it here",
      action: () => {
        link.connect();
        startCamera();
      },
    });
  },
  refused(reason) {
    disconnected("stopped", {
      title: "The server ended this stream",
      text: reason || "It gave no reason.",
      button: "Start again",
      action: () => link.connect(),
    });
  },
});
const seen = makeSeen(video, look);
const recorder = makeRecorder(link.send, () => firstObstacle()?.title);
const lesson = makeLesson(link.send, recorder);

function greet(hello) {
  const { bundle, runner, labels, threshold, taught } = hello; // what the view stands on
  const name = JSON.stringify([bundle, runner, labels, threshold, taught]);
  if (served && served !== name) {
    recorder.keep(); // another bundle was started meanwhile
    const camera = stream?.getVideoTracks()[0].getSettings().deviceId;
    history.replaceState({ ...history.state, view: seen.chosen(), camera }, "");
    return location.reload();
  }
  served = name;
  view ??= makeView(hello);
  view.forget();
  recorder.greet(hello.record);
  lesson.greet(hello.taught);
  const own = seen.greet(hello.view);
  // A server that was started anew does not know what was chosen here.
  if (JSON.stringify(own) !== JSON.stringify(hello.view)) look(own);
  ready = true;
  set("link", null);
  pill("live", "live");
}

function look(wanted) {
  link.send({ type: "view", ...wanted });
  view?.forget();
}

// What was before a pause, or of another camera, is another recording.
function forget() {
  link.send({ type: "forget" });
  view?.forget();
}

function disconnected(word, problem) {
  ready = false;
  sent.clear();
  recorder.stop("The connection was lost");
  view?.forget();
  pill(word, "lost");
  set("link", problem);
}

function pill(text, kind) {
  element("link").textContent = text;
  element("link").className = `pill ${kind}`;
}

function firstObstacle() {
  return Object.values(obstacles).find(Boolean);
}

// Show the first obstacle over the picture, or take the message away.
function set(name, problem) {
  obstacles[name] = problem;
  const first = firstObstacle();
  const button = element("message-button");
  element("message").hidden = !first;
  if (!first) return;
  element("message-title").textContent = first.title;
  element("message-text").textContent = first.text;
  button.hidden = !first.button;
  button.textContent = first.button ?? "";
  button.onclick = first.action ?? (() => startCamera());
}

async function startCamera(id = element("camera").value) {
  const attempt = ++opening;
  closeCamera();
  set("camera", ASKING);
  try {
    const opened = await openCamera(id);
    if (attempt !== opening) return opened.getTracks().forEach((track) => track.stop());
    stream = opened;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => lost(track));
    video.srcObject = stream;
    set("camera", null);
    await fillChooser(track.getSettings().deviceId);
  } catch (error) {
    if (attempt !== opening) return;
    // The camera that was chosen is no longer there: any other will do.
    if (id && error.name === "OverconstrainedError") return startCamera("");
    set("camera", problemOf(error));
  }
}

function closeCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = video.srcObject = null;
}

function lost(track) {
  if (!stream?.getTracks().includes(track)) return;
  closeCamera();
  forget();
  recorder.stop("The camera is gone");
  set("camera", LOST);
}

async function fillChooser(current) {
  const cameras = await listCameras();
  element("cameras").hidden = cameras.length < 2;
  element("camera").replaceChildren(
    ...cameras.map((camera, i) => new Option(camera.label || `Camera ${i + 1}`, camera.deviceId)),
  );
  element("camera").value = current;
}

async function frame(seconds) {
  counted.frames += 1;
  if (firstObstacle()) return;
  if (!ready) {
    skipped += 1;
    return;
  }
  ready = false;
  const began = performance.now();
  const message = await encode(video, canvas, seconds);
  if (!message) return (ready = true);
  for (const old of sent.keys()) if (old < seconds - 10) sent.delete(old);
  sent.set(seconds, { at: began, encode: performance.now() - began });
  link.send(message);
}

function answered(message) {
  counted.answers += 1;
  const frame = sent.get(message.seconds);
  const browser = frame ? { encode: frame.encode, whole: performance.now() - frame.at } : {};
  view.answer(message, { ...browser, skipped });
}

function visibility() {
  if (document.hidden) {
    recorder.stop("Stopped, because the page was hidden");
    set("hidden", { title: "Paused", text: "Nothing is sent while this page is hidden." });
  } else if (obstacles.hidden) {
    forget();
    set("hidden", null);
  }
}

video.addEventListener("resize", () => {
  const { videoWidth, videoHeight } = video;
  if (videoHeight) element("frame").style.setProperty("--aspect", videoWidth / videoHeight);
});
element("camera").addEventListener("change", () => {
  link.send({ type: "forget" });
  startCamera();
});
document.addEventListener("visibilitychange", visibility);
navigator.mediaDevices?.addEventListener("devicechange", () => {
  if (stream) fillChooser(stream.getVideoTracks()[0].getSettings().deviceId);
  else if (obstacles.camera !== ASKING && !obstacles.link) startCamera();
});
// Not every browser knows this permission by name.
navigator.permissions?.query({ name: "camera" }).then(
  (permission) => {
    permission.onchange = () => permission.state === "granted" && !stream && startCamera();
  },
  () => {},
);
setInterval(() => {
  const now = performance.now();
  const rate = (count) => ((1000 * count) / (now - counted.since)).toFixed(1);
  view?.rates(rate(counted.frames), rate(counted.answers));
  counted = { since: now, frames: 0, answers: 0 };
}, 3000);

set("camera", ASKING);
watchFrames(video, frame);
visibility();
link.connect();
startCamera(keptCamera ?? "");
