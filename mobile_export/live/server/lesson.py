"""The teaching part of the page: clips by gesture, training in a process of its own, its bundle.

The work is done by ``python -m mobile_export.teach``, which goes on when the page is reloaded or
this server ends by force; what it tells lies in the clips' folder, where any server finds it.
"""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.data.find import every_clip
from core.data.label_files import split_name
from core.decision import idle_labels
from core.errors import BadInput
from mobile_export.bundle.demo_app import ANDROID, IOS
from mobile_export.bundle.reader import MANIFEST
from mobile_export.combinations import TARGETS
from mobile_export.live.server import videos
from mobile_export.teach import progress
from mobile_export.teach.folder import WORK

GOOD = 20  # clips of a gesture that the page counts up to
MINUTES = 3.0
BUNDLES, LOG, REPORT = "bundles", "log.txt", "report.json"
PATIENCE = 5.0  # seconds that a job has to stop in
MOST_THUMBS = 4000  # kept in memory
APPS = {"xnnpack": ("android_demo", ANDROID), "vulkan": ("android_demo", ANDROID),
        "coreml": ("ios_demo", IOS)}  # fmt: skip


@dataclass
class Lesson:
    """One folder of clips that is taught from; ``base`` is the checkpoint to start from."""

    root: Path
    base: Path | None = None
    minutes: float = MINUTES
    program: tuple[str, ...] = (sys.executable, "-m", "mobile_export.teach")
    process: subprocess.Popen | None = None
    thumbs: dict[tuple[str, int], bytes] = field(default_factory=dict)
    listed: tuple[object, dict[str, list[Path]]] = (None, {})  # by the folders' times of change
    before: object = None  # whose words the progress file held when the process was started

    @property
    def work(self) -> Path:
        """Where jobs keep what they have done."""
        return self.root / WORK

    def check(self) -> None:
        """Raise ``BadInput`` for a folder that cannot be both recorded into and listed.

        The recorder makes class folders; one beside folders of splits would be neither.
        """
        splits = sorted(p.name for p in self.root.glob("*") if p.is_dir() and split_name(p.name))
        if splits:
            raise BadInput(
                f"--teach {self.root} is a folder of splits ({', '.join(splits)}): give one of "
                "class folders, or a new one"
            )
        self.classes()

    def state(self) -> dict[str, Any]:
        """All that the page shows, JSON-ready."""
        found, bundle = self.classes(), self.bundle()
        return {
            "folder": str(self.root),
            "good": GOOD,
            "classes": [
                {
                    "label": label, "idle": bool(idle_labels([label])),
                    "clips": [str(p.relative_to(self.root)) for p in paths],
                }
                for label, paths in found.items()
            ],
            "progress": self._progress(),
            "report": _json(self.work / REPORT),
            "targets": list(TARGETS),
            "bundle": None if bundle is None else {
                "name": bundle.name, "command": self._command(bundle),
            },
        }  # fmt: skip

    def classes(self) -> dict[str, list[Path]]:
        """The clips by class; read anew where a folder has changed."""
        if not self.root.is_dir():
            return {}
        folders = [self.root, *(p for p in self.root.glob("*") if p.is_dir())]
        folders += [p for p in self.root.glob("*/*") if p.is_dir()]
        own = [p for p in sorted(folders) if self.work not in (p, *p.parents)]
        mark = [(str(p), p.stat().st_mtime_ns) for p in own]
        if self.listed[0] != mark:
            self.listed = (mark, every_clip(self.root))
        return self.listed[1]

    def _progress(self) -> dict[str, Any] | None:
        """What the latest job told, whoever started it; of one that ended unheard, how it ended."""
        job = self.process
        code = None if job is None else job.poll()  # before the file is read: it has its last word
        told = progress.read(self.work)
        if job is None:
            return told
        heard = told if _job(told) != self.before else None  # since it was started
        own = heard is not None and heard.get("pid") == job.pid
        running = told is not None and told["state"] == "running"
        if code is None:
            if own or running:
                return told
            return {"state": "running", "part": 0.0, "words": "starting", "seconds": 0.0}
        if code == 0 or running or (heard is not None and not own):  # the latter are another's
            return told
        heard = heard or {}
        return {"part": 0.0, "seconds": 0.0} | heard | _ended(code, heard, self.work / LOG)

    def bundle(self) -> Path | None:
        """The newest bundle that was made here."""
        made = [p.parent for p in (self.work / BUNDLES).glob(f"*/{MANIFEST}")]
        good = [p for p in made if p.suffix not in (".rejected", ".previous") and p.name[0] != "."]
        return max(good, key=lambda p: (p / MANIFEST).stat().st_mtime, default=None)

    def _command(self, bundle: Path) -> str:
        target = json.loads((bundle / MANIFEST).read_text())["target"]
        folder, app = APPS[target]
        return f"cp -r '{bundle}' {folder}/{app.bundles}/"

    def clip(self, name: str) -> Path:
        """A clip by its path below the root. Raises ``BadInput`` for what is none."""
        for paths in self.classes().values():
            for path in paths:
                if str(path.relative_to(self.root)) == name:
                    return path
        raise BadInput(f"{name!r} is no clip of {self.root}")

    def delete(self, name: str) -> None:
        """Remove a video for good, and its class's folder with the last one."""
        path = self.clip(name)
        if path.is_dir():
            raise BadInput(f"{name} is a folder of pictures: delete it yourself")
        path.unlink(missing_ok=True)
        folder = path.parent
        while folder != self.root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def thumb(self, name: str) -> bytes:
        """A JPEG of a clip's middle. Raises ``BadInput``."""
        path = self.clip(name)
        key = (name, path.stat().st_mtime_ns)
        if key not in self.thumbs:
            if len(self.thumbs) >= MOST_THUMBS:
                self.thumbs.clear()
            self.thumbs[key] = videos.thumb(path)
        return self.thumbs[key]

    def take_in(self, label: str, name: str, body: bytes) -> int:
        """Add a video that was dropped on the page, as ``videos.take_in``."""
        return videos.take_in(self.root, self.work, label, name, body)

    def train(self, target: str) -> None:
        """Start a job, or one that goes on with what another left. Raises ``BadInput``."""
        if target not in TARGETS:
            raise BadInput(f"target {target!r} is unknown: choose one of {', '.join(TARGETS)}")
        running = self.process is not None and self.process.poll() is None
        if running or progress.is_running(self.work):
            raise BadInput("it is being trained already: wait for it, or cancel it")
        self.work.mkdir(parents=True, exist_ok=True)
        self.before = _job(progress.read(self.work))
        with (self.work / LOG).open("w") as log:
            # Of a session of its own: it outlives this server when that is killed.
            self.process = subprocess.Popen(
                [*self.program, *self.options(target)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def options(self, target: str) -> list[str]:
        """The command line of a job."""
        options = [str(self.root.absolute()), "--target", target, "--minutes", f"{self.minutes:g}"]
        options += ["--out", str((self.work / BUNDLES).absolute())]
        return options if self.base is None else [*options, "--from", str(self.base)]

    def cancel(self) -> None:
        """Ask the job to stop, whoever started it; what is done is kept."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            return
        told = progress.read(self.work)
        if told is not None and told["state"] == "running" and told.get("pid"):
            os.kill(int(told["pid"]), signal.SIGTERM)

    async def end(self) -> None:
        """Stop the job with the server; the next one goes on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self.process.wait, PATIENCE)
            except subprocess.TimeoutExpired:  # what it has done is kept all the same
                self.process.kill()

    def archive(self) -> tuple[str, bytes]:
        """Name and content of a zip of the bundle. Raises ``BadInput`` where there is none."""
        bundle = self.bundle()
        if bundle is None:
            raise BadInput("there is no bundle yet: train first")
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
                file.write(path, f"{bundle.name}/{path.relative_to(bundle).as_posix()}")
        return f"{bundle.name}.zip", content.getvalue()


def _json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _job(told: dict[str, Any] | None) -> object:
    """Which job told it: numbers of processes are used again, their moments are not."""
    return None if told is None else (told.get("pid"), told.get("began"))


def _ended(code: int, told: dict[str, Any], log: Path) -> dict[str, Any]:
    """State and words for a job that ended with ``code``; ``told`` is what it said itself."""
    if code in (-signal.SIGTERM, 128 + signal.SIGTERM):  # before it could say so, perhaps
        return {"state": "stopped", "words": told.get("words", "stopped")}
    words = _last_error(log)
    if told and not words:
        return {}
    return {"state": "failed", "words": words or f"it ended before it began: see {log}"}


def _last_error(log: Path) -> str:
    """The line in which a job said why it ended."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    told = [line for line in lines if line.startswith("error: ")]
    return told[-1].removeprefix("error: ") if told else ""
