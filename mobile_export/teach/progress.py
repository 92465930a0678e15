"""How far a job is, in a file that a page can read while it runs, and who runs it."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import BadInput

FILE, LOCK = "progress.json", "lock"
EVERY = 0.3  # seconds between two writings
ASKS = 4  # for the folder, so far apart
STAGES = {"features": 0.3, "judge": 0.3, "train": 0.1, "export": 0.3}  # parts of a whole job


@dataclass
class Progress:
    """What is told; ``part`` is 0 to 1 of the whole job. ``state``: running, done, failed, stopped.

    ``judged`` is the cross-validation as far as it is, ``words`` one line for people.
    """

    path: Path | None = None
    state: str = "running"
    stage: str = ""
    part: float = 0.0
    seconds: float = 0.0
    remaining: float | None = None
    words: str = ""
    judged: dict[str, Any] | None = None
    bundle: str | None = None
    pid: int = field(default_factory=os.getpid)
    began: float = field(default_factory=time.time)
    written: float = 0.0

    def tell(self, stage: str, done: float, words: str = "") -> None:
        """``done`` of a stage (0 to 1) is over."""
        before = 0.0
        for name, share in STAGES.items():
            if name == stage:
                self.part = max(self.part, before + share * min(1.0, done))
            before += share
        self.stage, self.words = stage, words or self.words
        self.seconds = time.time() - self.began
        enough = self.part > 0.02
        self.remaining = self.seconds * (1 - self.part) / self.part if enough else None
        if time.time() - self.written >= EVERY:
            self.write()

    def end(self, state: str, words: str) -> None:
        """The last word."""
        self.state, self.words, self.remaining = state, words, None
        self.seconds = time.time() - self.began
        if state == "done":
            self.part = 1.0
        self.write()

    def write(self) -> None:
        """Replace the file; a disk that is full is told elsewhere."""
        self.written = time.time()
        if self.path is None:
            return
        told = {k: v for k, v in asdict(self).items() if k not in ("path", "written")}
        temporary = self.path.with_name(f".{FILE}.{os.getpid()}")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(told))
            os.replace(temporary, self.path)


def read(work: Path) -> dict[str, Any] | None:
    """What the latest job told; "stopped" where its process ended without a last word."""
    try:
        told = json.loads((work / FILE).read_text())
    except (OSError, ValueError):
        return None
    if told.get("state") == "running" and not is_running(work):
        told |= {"state": "stopped", "words": "it was stopped; training again goes on from there"}
    return told


@contextlib.contextmanager
def alone(work: Path) -> Iterator[None]:
    """Hold the folder for one job. Raises ``BadInput`` when another has it."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / LOCK).open("a") as file:
        for _ in range(ASKS):  # a page that looks holds it for a moment
            if _take(file):
                break
            time.sleep(EVERY)
        else:
            raise BadInput(
                f"{work.parent} is being trained on by another process: wait for it, or cancel it"
            )
        yield


def is_running(work: Path) -> bool:
    """Whether a job holds the folder."""
    try:
        with (work / LOCK).open("a") as file:
            return not _take(file)  # closing gives it back
    except OSError:
        return False


def _take(file: Any) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: two jobs at once are told by nobody
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
