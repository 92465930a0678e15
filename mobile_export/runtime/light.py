"""ExecuTorch's runtime without its exporter.

``executorch.runtime`` needs one decorator of ``executorch.exir``, whose import brings the exporter,
torch's compiler and a computer algebra system with it: most of the seconds in which a program that
only runs a model starts. ``tests/test_light.py`` holds that they stay out.
"""

import importlib
import importlib.util
import sys
from types import ModuleType

EXPORTER = "executorch.exir"


def runtime() -> ModuleType:
    """The module ``executorch.runtime``; the exporter can still be imported afterwards."""
    if EXPORTER in sys.modules or "executorch.runtime" in sys.modules:
        return importlib.import_module("executorch.runtime")
    found = importlib.util.find_spec("executorch")
    places = (found and found.submodule_search_locations) or []
    # As long as a module of that name is there, its parts are imported without the whole.
    stand_in = ModuleType(EXPORTER)
    stand_in.__path__ = [f"{place}/exir" for place in places]
    sys.modules[EXPORTER] = stand_in
    try:
        return importlib.import_module("executorch.runtime")
    finally:
        for name in [n for n in sys.modules if n == EXPORTER or n.startswith(EXPORTER + ".")]:
            del sys.modules[name]


def portable_lib() -> ModuleType:
    """The part of it that is not in its public interface: threads and traces."""
    runtime()
    return importlib.import_module("executorch.extension.pybindings.portable_lib")
