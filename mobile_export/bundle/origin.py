"""The checkpoint that a bundle was made from, and whether the manifest still says what it says."""

from pathlib import Path

from core.checkpoint import Checkpoint, bundled_path, load
from core.classes import class_map
from core.errors import BadInput
from core.files import file_sha256
from core.regroup import regrouped
from mobile_export.bundle.manifest import interface
from mobile_export.bundle.reader import MANIFEST, Bundle


def find_checkpoint(bundle: Bundle, given: Path | None) -> Checkpoint:
    """The checkpoint that a bundle was made from, known by its hash: the given or bundled one.

    With the classes that the export made of its own. Raises ``BadInput``.
    """
    wanted = bundle.manifest["checkpoint"]
    path = given or bundled_path()
    try:
        found = file_sha256(path) if path.is_file() else None
    except OSError as error:
        raise BadInput(
            f"checkpoint {path} cannot be read ({error.strerror}): give {wanted['file']}"
        ) from None
    if found is None and given is not None:
        what = "is a folder" if given.is_dir() else "does not exist"
        raise BadInput(f"checkpoint {given} {what}: give {wanted['file']}")
    if found != wanted["sha256"]:
        which = f"{given} is not" if given else "the bundled checkpoint is not"
        raise BadInput(
            f"{which} the one that {bundle.path} was made from: give {wanted['file']} (SHA-256 "
            f"{wanted['sha256'][:12]}...) with --checkpoint"
        )
    classes = class_map(bundle.manifest.get("classes"))
    return regrouped(load(path), classes)[0]


def require_same(bundle: Bundle, checkpoint: Checkpoint) -> None:
    """Raise ``BadInput`` where the manifest says something else than its checkpoint does.

    The hashes do not cover the manifest, and a device follows it: with reversed labels or another
    normalisation a right artifact gives wrong answers.
    """
    manifest = bundle.manifest
    target, form = manifest["target"], manifest["form"]
    expected = interface(checkpoint, target, form, manifest["lowering"])
    for key, value in expected.items():
        where = _difference(manifest[key], value, key)  # type: ignore[literal-required]  # interface's keys are the manifest's
        if where:
            raise BadInput(
                f"{bundle.path / MANIFEST} was changed after the export: {where} is not what the "
                "checkpoint says; copy the bundle again or export again"
            )


def _difference(found: object, expected: object, where: str) -> str | None:
    """The first place where two pieces of JSON differ; None when they are equal."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        pairs = [(found[key], expected[key], f"{where}.{key}") for key in expected]
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        both = zip(found, expected, strict=True)
        pairs = [(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(both)]
    else:
        return None if type(found) is type(expected) and found == expected else where
    return next((place for pair in pairs if (place := _difference(*pair))), None)
