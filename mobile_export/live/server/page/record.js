// Recording of labelled clips: for each a countdown, then seconds of frames that the server keeps.

const element = (id) => document.getElementById(id);
const FIELDS = ["label", "clips", "seconds"];
const TRIES = 3; // of one clip that comes out spoiled

class Stopped extends Error {}

function clips(count) {
  return `${count} ${count === 1 ? "clip" : "clips"}`;
}

// `send` gives a message to the server, `obstacle` a text when no frames flow. `message` takes the
// server's answers, `greet` what `hello` says of recording, `stop` ends a run with a reason.
// `between` does what no run would outlive, and `keep` leaves what is written here to the page that
// is loaded in this one's place.
export function makeRecorder(send, obstacle) {
  let running = false;
  let greeted = null;
  let settle = null; // {types, resolve, reject} of what is being waited for
  let held = false; // nothing may be recorded now
  const waiting = []; // for the end of the run

  const form = element("record");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [count, seconds] = ["clips", "seconds"].map((id) => element(id).valueAsNumber);
    if (!running) record(element("label").value.trim(), count, seconds);
  });
  element("clips").addEventListener("input", nameButton);
  element("stop").addEventListener("click", () => stop("Stopped"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop("Stopped");
  });

  function greet(about) {
    stop("The connection was lost");
    greeted = about;
    element("no-folder").hidden = about !== null;
    form.hidden = element("advice").hidden = about === null;
    if (!about) return;
    const seconds = element("seconds");
    Object.assign(seconds, { min: about.least, max: about.most });
    if (!seconds.value) seconds.value = about.seconds;
    element("folder").textContent = about.folder;
    list(about.counts);
  }

  function nameButton() {
    const count = element("clips").valueAsNumber;
    element("start").textContent = count >= 1 ? `Record ${clips(count)}` : "Record clips";
  }

  function list(counts) {
    const rows = Object.entries(counts);
    element("recorded").hidden = rows.length === 0;
    element("counts").replaceChildren(
      ...rows.map(([label, count]) => {
        const row = document.createElement("tr");
        const head = Object.assign(document.createElement("th"), { scope: "row" });
        head.textContent = label;
        const cell = Object.assign(document.createElement("td"), { textContent: clips(count) });
        cell.className = "number";
        row.append(head, cell);
        return row;
      }),
    );
    element("labels").replaceChildren(
      ...rows.map(([label]) => Object.assign(document.createElement("option"), { value: label })),
    );
  }

  // With `inOneGo` there is one countdown, and the clips follow each other.
  async function record(label, count, seconds, inOneGo = false) {
    if (obstacle()) return say(`There is no picture: ${obstacle()}`, true);
    if (held) return say("One moment: another bundle comes before the camera", true);
    show(true);
    let saved = 0;
    try {
      await request({ type: "record", label, seconds }, ["ready"]);
      for (let spoiled = 0; saved < count; ) {
        say(`Clip ${saved + 1} of ${count}`);
        const text = `${label}: clip ${saved + 1} of ${count}`;
        if (!inOneGo || !saved) await countDown(text);
        element("recording").textContent = text;
        const reply = await takeClip(seconds);
        spoiled = reply.type === "spoiled" ? spoiled + 1 : 0;
        if (spoiled >= TRIES) throw new Stopped(reply.reason);
        if (spoiled) say(`Once more: ${reply.reason}`);
        else saved += 1;
      }
      say(`${clips(saved)} of "${label}" recorded`);
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
      say(`${error.message}${saved ? `; ${saved} of ${count} clips are kept` : ""}`, true);
    } finally {
      send({ type: "stop" });
      show(false);
    }
  }

  async function countDown(text) {
    const badge = element("recording");
    badge.classList.remove("on");
    badge.textContent = text;
    element("countdown").hidden = false;
    for (let left = greeted.countdown; left > 0; left -= 1) {
      element("countdown").textContent = left;
      await waitFor([], (done) => setTimeout(done, 1000));
    }
    element("countdown").hidden = true;
    badge.classList.add("on");
  }

  async function takeClip(seconds) {
    const bar = element("progress");
    const began = performance.now();
    const timer = setInterval(() => {
      bar.value = (performance.now() - began) / (1000 * seconds);
    }, 50);
    bar.hidden = false;
    try {
      return await request({ type: "clip" }, ["saved", "spoiled"]);
    } finally {
      clearInterval(timer);
      bar.hidden = true;
      bar.value = 0;
    }
  }

  function request(message, types) {
    return waitFor(types, () => send(message));
  }

  // What `start` gives to its argument, or a message of these types; rejects when the run ends.
  function waitFor(types, start) {
    return new Promise((resolve, reject) => {
      settle = { types, resolve, reject };
      start(resolve);
    });
  }

  function message(reply) {
    if (reply.type === "saved") list(reply.counts);
    if (!running || !settle || reply.of) return; // or it is of something else
    if (reply.type === "refused") settle.reject(new Stopped(reply.reason));
    else if (settle.types.includes(reply.type)) settle.resolve(reply);
  }

  function stop(reason) {
    if (running && settle) settle.reject(new Stopped(reason));
  }

  // `work` begins when no run goes on, and none begins until it is done.
  async function between(work) {
    while (running) await new Promise((done) => waiting.push(done));
    held = true;
    await work().finally(() => (held = false));
  }

  function show(on) {
    running = on;
    settle = null;
    element("start").hidden = on;
    element("stop").hidden = !on;
    for (const id of FIELDS) element(id).disabled = on;
    element("recording").hidden = !on;
    element("countdown").hidden = true;
    if (on) element("recording").textContent = "";
    (on ? element("stop") : element("start")).focus({ preventScroll: true });
    if (on) element("frame").scrollIntoView({ block: "nearest" }); // the countdown stands there
    if (!on) for (const done of waiting.splice(0)) done();
  }

  function say(text, problem = false) {
    element("record-state").textContent = text;
    element("record-state").classList.toggle("problem", problem);
  }

  // Minutes of what is no gesture, cut into clips.
  function anything(label, minutes) {
    const seconds = element("seconds").valueAsNumber || greeted.seconds;
    if (!running) record(label, Math.ceil((60 * minutes) / seconds), seconds, true);
  }

  function keep() {
    const { textContent: text, classList } = element("record-state");
    const fields = FIELDS.map((id) => element(id).value);
    history.replaceState({ fields, text, problem: classList.contains("problem") }, "");
  }

  const kept = history.state;
  history.replaceState(null, "");
  if (kept) {
    FIELDS.forEach((id, i) => (element(id).value = kept.fields[i]));
    nameButton();
    say(kept.text, kept.problem);
  }
  return { greet, message, stop, between, keep, anything };
}
