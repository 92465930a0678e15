"""A bundle put where a demo app reads it from."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from core.errors import BadInput
from mobile_export.bundle.staging import publish


@dataclass(frozen=True)
class DemoApp:
    """A demo app's folder."""

    system: str
    known_by: Path  # a file that it has
    bundles: Path  # where they belong
    runs: tuple[str, ...]  # targets
    # What is exported where no precision is asked for: an iPhone measures each and takes the best.
    precisions: tuple[str, ...]


ANDROID = DemoApp(
    system="Android",
    known_by=Path("app/src/main/AndroidManifest.xml"),
    bundles=Path("app/src/main/assets/bundles"),
    runs=("xnnpack", "vulkan"),
    precisions=("int8",),
)
IOS = DemoApp(
    system="iOS",
    known_by=Path("ActionMobile.xcodeproj/project.pbxproj"),
    bundles=Path("Bundles"),
    runs=("coreml",),
    precisions=("int8", "w8a16", "fp16"),
)


def demo_app(app: Path, targets: list[str]) -> DemoApp:
    """What lies in folder ``app``. Raises ``BadInput`` for another folder or target."""
    for known in (ANDROID, IOS):
        if (app / known.known_by).is_file():
            break
    else:
        raise BadInput(
            f"--into {app} is no demo app (neither {ANDROID.known_by} nor {IOS.known_by} is "
            "there): give android_demo or ios_demo"
        )
    for target in targets:
        if target not in known.runs:
            raise BadInput(
                f"--into {app}: {known.system} does not run {target}; give --target {known.runs[0]}"
            )
    return known


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
        publish(temporary / "new", final)
    except OSError as error:
        raise BadInput(f"--into: {folder} cannot be written ({error.strerror or error})") from None
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
    return final
