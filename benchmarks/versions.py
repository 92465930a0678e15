"""What an artifact that is kept was made by: with any of it changed, its folder has another name.

Light: no framework is imported.
"""

import hashlib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Of whatever becomes a program of ExecuTorch: patterns from the root of the project, and packages.
LOWERING = (
    "core/model.py", "core/shift.py", "core/temporal.py", "core/backbones/*.py", "core/files.py",
    "mobile_export/graph/*.py", "mobile_export/quantization/*.py", "mobile_export/targets/*.py",
)  # fmt: skip
LOWERED_BY = ("executorch", "torch", "torchao")


def digest(sources: Iterable[str], packages: Iterable[str]) -> str:
    """Names the content of source files and the versions of packages."""
    found = hashlib.sha256()
    for pattern in sources:
        for path in sorted(ROOT.glob(pattern)):
            found.update(path.read_bytes())
    found.update(repr([version(package) for package in packages]).encode())
    return found.hexdigest()[:8]


def version(package: str) -> str | None:
    """The version of a package; None when it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
