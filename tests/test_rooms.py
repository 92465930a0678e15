"""The house: which package may import which. An arrow that is not drawn here fails."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GROUND = {
    "errors",
    "files",
    "markdown",
    "options",
    "labels",
}  # of core: every room may stand on them
MODEL = {"model", "temporal", "shift", "training_form", "backbones"}
# A room of core (a package or a module at its top) and the rooms that it may import.
CORE = {
    "errors": set(), "labels": set(), "markdown": set(), "training_form": set(),
    "files": {"errors"}, "options": {"errors"},
    "shift": {"training_form"},
    "temporal": {"shift", "training_form"},
    "backbones": {"temporal"},
    "model": {"backbones", "temporal"},
    "decision": GROUND,
    "importers": GROUND | MODEL,
    "checkpoint": GROUND | MODEL | {"importers"},
    "classes": GROUND,
    "regroup": GROUND | MODEL | {"checkpoint", "classes", "decision"},
    "data": GROUND | MODEL | {"classes"},
    "evaluation": GROUND | MODEL | {"checkpoint", "classes", "data", "decision", "regroup"},
    "training": GROUND | MODEL | {"checkpoint", "classes", "data", "decision", "evaluation"},
}  # fmt: skip
COMMON = {"errors", "console", "combinations"}
# The same of mobile_export. Each may import core; ``latency`` times what ``live`` runs.
EXPORT = {
    "errors": set(), "combinations": set(),
    "console": {"errors"},
    "clips": COMMON,
    "graph": COMMON,
    "quantization": COMMON | {"clips", "graph"},
    "targets": COMMON | {"graph", "quantization"},
    "runtime": COMMON | {"graph"},
    "bundle": COMMON | {"graph", "runtime", "targets"},
    "verify": COMMON | {"bundle", "clips", "runtime"},
    "diagnose": COMMON | {"bundle", "clips", "graph", "quantization", "runtime", "targets"},
    "teach": COMMON | {"exporter", "graph"},
    "live": COMMON | {"bundle", "runtime", "teach"},  # of teach, what a folder holds and tells
    "latency": COMMON | {"bundle", "live", "runtime"},
    "report": COMMON | {"bundle"},
    "exporter": COMMON
    | {"bundle", "clips", "graph", "quantization", "runtime", "targets", "verify"},
}  # fmt: skip
# Nobody imports what is a command alone, so it may import what it likes of its own package.
COMMANDS = {
    "core.train", "core.evaluate", "core.cam", "core.timeline", "core.models",
    "core.data.synthetic",
}  # fmt: skip


def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name."""
    files = [file for top in ("core", "mobile_export") for file in (ROOT / top).rglob("*.py")]
    dotted = {".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in files}
    return {name.removesuffix(".__init__"): file for name, file in dotted.items()}


MODULES = modules()


def imports(name: str) -> set[str]:
    """The modules of both packages that a module imports, late ones and those for types too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import: name the package"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {full if full in MODULES else node.module for full in whole}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & MODULES.keys()


def is_command(name: str) -> bool:
    return name.endswith("__main__") or name in COMMANDS


ARROWS = {name: imports(name) for name in MODULES}


@pytest.mark.parametrize(("top", "drawn"), [("core", CORE), ("mobile_export", EXPORT)])
def test_arrows_between_rooms_are_those_that_are_drawn(top: str, drawn: dict[str, set[str]]):
    undrawn = []
    for name in MODULES:
        if not name.startswith(f"{top}.") or is_command(name):
            continue
        room = name.split(".")[1]
        assert room in drawn, f"{name} is in no room that is drawn"
        for other in ARROWS[name]:
            above, _, rest = other.partition(".")
            to = rest.split(".")[0]
            if above == top and to not in drawn[room] | {"", room}:
                undrawn.append(f"{name} -> {other}")
    assert not undrawn


@pytest.mark.parametrize("drawn", [CORE, EXPORT], ids=["core", "mobile_export"])
def test_what_is_drawn_has_no_circle(drawn: dict[str, set[str]]):
    assert set().union(*drawn.values()) <= drawn.keys()
    list(TopologicalSorter(drawn).static_order())


def test_every_room_that_is_drawn_is_there():
    for top, drawn in (("core", CORE), ("mobile_export", EXPORT)):
        assert {name.split(".")[1] for name in MODULES if name.startswith(f"{top}.")} >= set(drawn)


def test_no_file_imports_itself_by_others():
    try:
        list(TopologicalSorter(ARROWS).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_core_knows_nothing_of_the_exporter():
    assert not [
        f"{name} -> {other}"
        for name in MODULES
        for other in ARROWS[name]
        if name.split(".")[0] == "core" and other.split(".")[0] == "mobile_export"
    ]


def test_nobody_imports_a_command():
    assert not [
        f"{name} -> {other}" for name in MODULES for other in ARROWS[name] if is_command(other)
    ]


def test_a_renderer_draws_what_does_not_know_it():
    """What any renderer shares (hands, gestures, scenes) imports no renderer."""
    shared = "core.data.rendered."
    for part in ("hand", "gestures", "scenes"):
        assert not [n for n in ARROWS[shared + part] if n.startswith(shared + "capsules")]
