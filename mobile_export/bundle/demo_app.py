"""A bundle put where a demo app reads it from."""

import os
import shutil
import tempfile
from pathlib import Path

from core.errors import BadInput

# What an app's folder is known by, where its bundles belong, and which targets its system runs.
ANDROID = Path("app/src/main/AndroidManifest.xml")
ASSETS = Path("app/src/main/assets/bundles")
RUNS = ("xnnpack", "vulkan")


def bundles_folder(app: Path, targets: list[str]) -> Path:
    """The folder of ``app``'s bundles. Raises ``BadInput`` for another folder or target."""
    if not (app / ANDROID).is_file():
        raise BadInput(f"--into {app} is no demo app ({ANDROID} is not there): give android_demo")
    for target in targets:
        if target not in RUNS:
            raise BadInput(f"--into {app}: Android does not run {target}; give --target xnnpack")
    return app / ASSETS


def put(bundle: Path, folder: Path) -> Path:
    """Copy a bundle into ``folder`` in the place of an older one; returns where it is.

    Copied under a hidden name, which Android's packaging leaves out, then renamed. Raises
    ``BadInput`` when the folder cannot be written.
    """
    final = folder / bundle.name
    temporary = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{bundle.name}.", dir=folder))
        shutil.copytree(bundle, temporary / "new")
        if final.exists():
            os.rename(final, temporary / "old")
        os.rename(temporary / "new", final)
    except OSError as error:
        raise BadInput(f"--into: {folder} cannot be written ({error.strerror})") from None
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
    return final
