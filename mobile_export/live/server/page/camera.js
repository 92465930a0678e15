// The browser's camera: opening it, saying in words why that failed, and its frames as JPEG.

const LARGEST = 640; // pixels of a side; the server takes no more
const QUALITY = 0.9;

const PROBLEMS = {
  NotAllowedError: {
    title: "The camera is blocked",
    text: `This page may not use the camera. Click the camera or lock sign beside the address, allow
      the camera for this page, then try again. If it is allowed there, look into the privacy
      settings of the system: the browser itself needs permission too.`,
  },
  NotFoundError: {
    title: "No camera found",
    text: "Connect one: this page goes on by itself as soon as the browser sees it.",
  },
  NotReadableError: {
    title: "The camera is in use",
    text: "Another program seems to have it. Close that program or its call, then try again.",
  },
};
PROBLEMS.SecurityError = PROBLEMS.NotAllowedError;
PROBLEMS.OverconstrainedError = PROBLEMS.NotFoundError;
PROBLEMS.AbortError = PROBLEMS.NotReadableError;

export const ASKING = {
  title: "May this page use the camera?",
  text: "The browser asks you now: choose Allow. Pictures go to the program on this machine only.",
};
export const LOST = {
  title: "The camera is gone",
  text: "It was unplugged, turned off or taken by another program. Put it back, then try again.",
  button: "Try again",
};

// What to show for an error of getUserMedia.
export function problemOf(error) {
  const known = PROBLEMS[error.name];
  const other = { title: "The camera does not start", text: `${error.name}: ${error.message}` };
  return { ...(known ?? other), button: "Try again" };
}

// A camera's stream at about 640x480; `id` chooses one of several. Rejects as getUserMedia does.
export async function openCamera(id) {
  if (!navigator.mediaDevices) {
    throw new DOMException("open it as http://127.0.0.1 or http://localhost", "SecurityError");
  }
  const video = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  if (id) video.deviceId = { exact: id };
  return navigator.mediaDevices.getUserMedia({ video, audio: false });
}

export async function listCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "videoinput" && device.deviceId);
}

// Calls `frame(seconds)` for every new picture of the video, in the order of time.
export function watchFrames(video, frame) {
  let latest = 0;
  function next(now, about) {
    // The moment of capture, where the browser knows it: its own calls come late now and then.
    latest = Math.max(latest, (about.captureTime ?? now) / 1000);
    frame(latest);
    video.requestVideoFrameCallback(next);
  }
  video.requestVideoFrameCallback(next);
}

// The picture that the video shows, not mirrored, as JPEG behind its time stamp; even sides, as
// video files need them. Resolves to an ArrayBuffer, null when there is no picture.
export async function encode(video, canvas, seconds) {
  const shrink = Math.min(1, LARGEST / Math.max(video.videoWidth, video.videoHeight));
  const even = (side) => 2 * Math.round((side * shrink) / 2);
  const [width, height] = [even(video.videoWidth), even(video.videoHeight)];
  if (!width || !height) return null;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d", { alpha: false }).drawImage(video, 0, 0, width, height);
  const jpeg = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  if (!jpeg) return null;
  const header = new DataView(new ArrayBuffer(8));
  header.setFloat64(0, seconds, true);
  return new Blob([header, jpeg]).arrayBuffer();
}
