"""Files written whole, under a temporary name and then renamed; and their hashes."""

import contextlib
import functools
import hashlib
import io
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from core.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn = ParamSpec("Drawn")


def replace_file(path: Path, content: bytes) -> None:
    """Write under a temporary name, then rename: a stopped run leaves no half of a file.

    Raises ``OSError``.
    """
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut leaves the new name with nothing in it
        os.replace(temporary, path)
    except BaseException:  # an interrupt as well
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_whole(option: str, path: Path, content: bytes) -> None:
    """Write a file that is either all there or not there; an older one stays until then.

    What is no regular file, a pipe or ``/dev/stdout``, is written to as it is. Raises ``BadInput``,
    which names the option, when the system refuses.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            replace_file(path.resolve(), content)  # a link stays one
    except OSError as error:
        raise BadInput(
            f"{option} {path} cannot be written ({error.strerror}): give another place"
        ) from None


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """For JSON, which has no infinity: a number that is not finite becomes null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def write_json(option: str, path: Path, content: dict | list) -> None:
    """Write JSON for people and programs to read; raises as ``write_whole`` does."""
    write_whole(option, path, (json.dumps(content, indent=2) + "\n").encode())


def plain_words(draw: Callable[Drawn, None]) -> Callable[Drawn, None]:
    """A function that draws, in which names with two dollar signs are no formulas."""

    @functools.wraps(draw)
    def drawn(*args: Drawn.args, **kwargs: Drawn.kwargs) -> None:
        from matplotlib import rc_context

        with rc_context({"text.parse_math": False}):
            draw(*args, **kwargs)

    return drawn


def write_figure(option: str, path: Path, figure: "Figure", dpi: int) -> None:
    """Write a matplotlib figure as PNG; raises as ``write_whole`` does."""
    content = io.BytesIO()
    figure.savefig(content, dpi=dpi, format="png")
    write_whole(option, path, content.getvalue())


def write_bytes(path: Path, content: bytes) -> Path:
    """Write under a temporary name and rename, so that a stopped run leaves no half artifact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
    return path


def _left_by_system(path: Path) -> bool:
    return path.name in (".DS_Store", ".localized") or path.name.startswith("._")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files in sorted order with their relative names.

    Files that an operating system leaves in folders, such as ``.DS_Store``, do not count.
    """
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())
        return digest.hexdigest()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and not _left_by_system(p)):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()
