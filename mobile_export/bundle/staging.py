"""Where a bundle is built, and how it gets its name: whole, or not at all.

It is built in a hidden sibling folder and renamed when it is whole.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from core.errors import BadInput
from mobile_export.bundle.reader import MANIFEST


@contextlib.contextmanager
def staging(out: Path, name: str) -> Iterator[Path]:
    """A hidden folder inside ``out`` to build a bundle in; gone afterwards, whatever happens.

    Folders that had to be created for it go too when nothing was left in them. Raises ``BadInput``
    when ``out`` cannot hold one, or when one of the names that ``publish`` and ``reject`` replace
    is something other than a bundle.
    """
    check_names(out, name)
    created: list[Path] = []
    try:
        created = [p for p in (out, *out.parents) if not p.exists()]
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=out))
    except OSError as error:
        _remove_empty(created)
        raise _unwritable(out, error) from None
    try:
        folder.chmod(0o755)  # mkdtemp makes private folders
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_empty(created)


def check_names(out: Path, name: str) -> None:
    """Refuse, before any work, a bundle of which a name in ``out`` is taken by something else."""
    try:
        for path in (out / name, *_kept(out / name)):
            if os.path.lexists(path) and not (path / MANIFEST).is_file():
                raise BadInput(
                    f"{path} exists and is not a bundle: move it away or give another --out"
                )
    except OSError as error:
        raise _unwritable(out, error) from None


def _unwritable(out: Path, error: OSError) -> BadInput:
    return BadInput(f"--out {out} cannot be written ({error.strerror}): give a folder that can")


def _kept(final: Path) -> tuple[Path, Path]:
    """Where ``reject`` keeps a refused bundle, and the older one of the good name."""
    return final.with_name(final.name + ".rejected"), final.with_name(final.name + ".previous")


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:  # innermost first
        with contextlib.suppress(OSError):
            folder.rmdir()


def publish(folder: Path, final: Path) -> None:
    """Move a whole bundle to its name, in the place of an older one.

    Stopped at any point, SIGTERM included, the older or the new one has the name.
    """
    old = final.with_name(f".{final.name}.{os.getpid()}.old")
    try:
        if final.exists():
            os.rename(final, old)
        os.rename(folder, final)
    finally:
        if os.path.lexists(old) and os.path.lexists(final):
            shutil.rmtree(old, ignore_errors=True)
        elif os.path.lexists(old):
            os.rename(old, final)


def reject(folder: Path, final: Path) -> tuple[Path, Path | None]:
    """Keep a bundle that failed the gate as ``<name>.rejected``, and nothing under the good name.

    An older bundle of the good name becomes ``<name>.previous``: left in its place it would pass
    for the one that was just refused. Returns both paths.
    """
    rejected, previous = _kept(final)
    publish(folder, rejected)
    if not final.exists():
        return rejected, None
    publish(final, previous)
    return rejected, previous
