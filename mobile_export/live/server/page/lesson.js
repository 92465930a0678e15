// Teaching: clips by gesture, training, and the bundle that came of it. The server has the state.

const element = (id) => document.getElementById(id);
const SOON = 700; // milliseconds between two looks at a job
const MINUTES = 2; // of anything but
const IDLE = "No gesture";

function make(tag, text, more = {}) {
  return Object.assign(document.createElement(tag), { textContent: text, ...more });
}

function address(path, query = {}) {
  const token = new URLSearchParams(location.search).get("token") ?? "";
  return `teach/${path}?${new URLSearchParams({ token, ...query })}`;
}

function time(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

// The JSON of an address; {reason} where there is none, with `away` where nobody answers at all.
async function ask(path, query, options) {
  try {
    const reply = await fetch(address(path, query), options);
    const text = await reply.text();
    try {
      return JSON.parse(text);
    } catch {
      return { reason: text.trim().split("\n")[0] || `The server answered ${reply.status}` };
    }
  } catch {
    return { reason: "The server does not answer", away: true };
  }
}

// `send` gives a message to the stream; of the recorder, `anything` records minutes of a label in
// one go, and `between` does what would end a recording when there is none.
export function makeLesson(send, { anything, between }) {
  let on = false;
  let running = false;
  let shown = ""; // the classes that are on the page
  let timer = 0;
  let wanted = ""; // bundle before the camera that waits for the recorder

  element("anything").addEventListener("click", () => anything(IDLE, MINUTES));
  element("train").addEventListener("click", () => post("train", { target: value("target") }));
  element("cancel").addEventListener("click", () => post("cancel"));
  element("wrong").addEventListener("click", () => send({ type: "wrong", label: value("right") }));
  element("which").addEventListener("change", () => use(value("which")));

  const value = (id) => element(id).value;

  // `taught` is null where nothing is taught, else whether the taught bundle is before the camera.
  function greet(taught) {
    on = taught !== null && taught !== undefined;
    element("lesson").hidden = element("anything").hidden = !on;
    if (!on) return;
    element("recorded").hidden = true; // the lesson counts them
    element("which").value = taught ? "taught" : "given";
    look();
  }

  function message(reply) {
    if (!on) return;
    if (reply.type === "saved") look();
    if (["saved", "spoiled", "refused"].includes(reply.type)) {
      say(reply.type === "saved" ? `${reply.file} added` : reply.reason, reply.type !== "saved");
    }
  }

  async function look() {
    clearTimeout(timer);
    const state = await ask("state");
    if (state.away) timer = setTimeout(look, 4 * SOON); // the page says so already
    else answer(state);
  }

  async function post(path, query = {}, body = null) {
    const reply = await ask(path, query, { method: "POST", body });
    if (reply.reason !== undefined) say(reply.reason, true);
    else if (path === "import") look();
    else if (path !== "use") answer(reply);
  }

  // Another bundle makes the page connect again.
  function use(which) {
    wanted = which;
    between(async () => {
      if (wanted === which) await post("use", { which });
    });
  }

  function answer(state) {
    clearTimeout(timer);
    const was = running;
    if (state.reason !== undefined) {
      say(state.reason, true);
    } else {
      show(state);
      running = state.progress?.state === "running";
    }
    if (running) timer = setTimeout(look, SOON);
    if (was && !running && state.progress?.state === "done") use("taught");
  }

  function say(text, problem = false) {
    element("record-state").textContent = text;
    element("record-state").classList.toggle("problem", problem);
  }

  function show(state) {
    const classes = JSON.stringify(state.classes);
    if (classes !== shown) listClasses(state);
    shown = classes;
    if (!element("target").options.length) {
      element("target").replaceChildren(...state.targets.map((name) => new Option(name, name)));
      element("target").value = "xnnpack";
    }
    showJob(state);
    const told = state.report?.advice ?? [];
    element("lesson-advice").replaceChildren(...told.map((line) => make("li", line)));
    element("taught").hidden = !state.bundle;
    if (!state.bundle) return;
    element("take").href = address("take");
    element("take-command").textContent = state.bundle.command;
  }

  function showJob({ progress, report }) {
    const job = element("job");
    const active = progress?.state === "running";
    element("train").hidden = active;
    element("cancel").hidden = !active;
    element("train").textContent = progress?.state === "stopped" ? "Go on training" : "Train";
    job.hidden = !active;
    if (!progress) return;
    job.value = progress.part;
    const left = progress.remaining ? `, about ${time(progress.remaining)} left` : "";
    const text = active ? `${progress.words}${left}` : `${progress.words} (${time(progress.seconds)})`;
    element("job-state").textContent = text;
    element("job-state").classList.toggle("problem", progress.state === "failed");
    const judged = active ? progress.judged : (report?.judged ?? progress.judged);
    if (judged) showJudged(judged);
  }

  function showJudged(judged) {
    const [low, high] = judged.interval ?? [0, 100];
    element("judged").textContent =
      judged.accuracy === null
        ? ""
        : `${judged.accuracy} % of ${judged.clips} held-out clips right (95 %: ${low} to ${high}), ` +
          `held out by ${judged.by}`;
    const head = document.createElement("tr");
    head.append(make("th", ""), ...judged.labels.map((name) => make("th", name, { scope: "col" })));
    const rows = judged.confusion.map((row, i) => {
      const line = document.createElement("tr");
      line.append(make("th", judged.labels[i], { scope: "row" }));
      row.forEach((count, j) => {
        const kind = count ? (i === j ? "right" : "wrong") : "";
        line.append(make("td", count || "", { className: kind }));
      });
      return line;
    });
    const matrix = element("matrix");
    matrix.hidden = false;
    matrix.querySelector("thead").replaceChildren(head);
    matrix.querySelector("tbody").replaceChildren(...rows);
  }

  function listClasses({ classes, good }) {
    const missing = !classes.some((one) => one.idle);
    element("lesson-hint").textContent = missing ? `${IDLE} is missing.` : "";
    element("classes").replaceChildren(...classes.map((one) => classItem(one, good)));
    element("labels").replaceChildren(...classes.map(({ label }) => new Option(label, label)));
    const chosen = value("right");
    element("right").replaceChildren(...classes.map(({ label }) => new Option(label, label)));
    if (classes.some(({ label }) => label === chosen)) element("right").value = chosen;
  }

  function classItem({ label, clips }, good) {
    const item = make("li", "", { className: "class" });
    item.dataset.label = label;
    const name = make("button", label, { type: "button", title: "Record more of it" });
    name.addEventListener("click", () => {
      element("label").value = label;
      element("label").focus();
    });
    const count = make("span", `${clips.length} of ${good}`, { className: "hint count" });
    const strip = make("div", "", { className: "thumbs" });
    strip.append(...clips.map(thumb));
    item.append(name, count, strip);
    item.addEventListener("dragover", (event) => {
      event.preventDefault();
      item.classList.add("over");
    });
    item.addEventListener("dragleave", () => item.classList.remove("over"));
    item.addEventListener("drop", (event) => {
      event.preventDefault();
      item.classList.remove("over");
      bring(label, [...event.dataTransfer.files]);
    });
    return item;
  }

  async function bring(label, files) {
    for (const file of files) {
      say(`Adding ${file.name}`);
      await post("import", { label, name: file.name }, file);
    }
  }

  function thumb(clip) {
    const box = make("span", "", { className: "thumb" });
    const picture = make("img", "", { alt: clip, title: clip, loading: "lazy" });
    picture.src = address("thumb", { clip });
    const away = make("button", "\u00D7", { type: "button", title: `Delete ${clip}` });
    away.setAttribute("aria-label", `Delete ${clip}`);
    away.addEventListener("click", () => post("delete", { clip }));
    box.append(picture, away);
    return box;
  }

  return { greet, message };
}
