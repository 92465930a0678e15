"""Reading latency reports: a file's JSON, checked against ``latency.schema.json``, under its name.

Reports come from other machines and phones, so nothing in them is taken on trust.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from core.errors import BadInput, one_line
from core.files import replace_file
from mobile_export.bundle.schemas import violation

SCHEMA = 1  # of latency.schema.json; a reader refuses others
MOST = 1e18  # sums and axes are computed from what a report holds; bytes and times stay below
GIVE = "give a file of python -m mobile_export.latency or one of the apps"

Named = tuple[str | None, Path]  # a report's file, under another name than its own


def read_all(named: Sequence[Named]) -> list[dict]:
    """The reports of files, in order.

    Raises ``BadInput`` for a file that is no report, and when two reports have the same name.
    """
    reports: list[dict] = []
    files: dict[str, Path] = {}
    for name, file in named:
        report = load(file)
        if name is not None:
            report["name"] = name
        name = report["name"]
        if name in files:
            raise BadInput(
                f"{files[name]} and {file} are both named {shown(name)}: give one of them another "
                f"name, NAME={file}"
            )
        files[name] = file
        reports.append(report)
    return reports


def split_argument(argument: str) -> Named:
    """``FILE`` or ``NAME=FILE``; a file that exists under the whole argument is a file.

    Raises ``BadInput`` for an empty name.
    """
    name, equals, file = argument.partition("=")
    if not equals or _is_there(Path(argument)):
        return None, Path(argument)
    if not name.strip():
        raise BadInput(f"{argument} has an empty name: give NAME={file}")
    return name, Path(file)


def load(file: Path) -> dict:
    """A validated report.

    Raises ``BadInput`` when the file is missing, not JSON or not a report of this version.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(f"report {file} cannot be read ({error.strerror}): {GIVE}") from None
    return parse(content, str(file))


def parse(content: bytes, where: str) -> dict:
    """A validated report from a file's bytes; ``where`` is what an error calls the file.

    Raises ``BadInput`` when they are not JSON or not a report of this version.
    """
    try:
        text = content.decode("utf-8")
        report = json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_whole)
        json.dumps(report, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is not JSON ({error}): {GIVE}") from None
    validate(report, where)
    return report


def validate(report: object, where: str) -> None:
    """Raise ``BadInput`` when a report does not follow the schema; names the first place."""
    version = report.get("schema") if isinstance(report, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        raise BadInput(
            f"{where} is a report of schema {version}: this version reads {SCHEMA}; update "
            "action-mobile"
        )
    broken = violation(report, "latency.schema.json")
    if broken is not None:
        raise _not_a_report(where, broken)
    for number, run in enumerate(report["runs"]):  # type: ignore[index]  # the schema says that it is one
        _check_sense(run, f"$.runs[{number}]", where)


def kept(pulled: Path, folder: Path, option: str) -> list[Named]:
    """Copy the reports that were pulled from a phone into ``folder``, which may hold others; each
    under its own name, oldest first. None where the phone has none.

    A phone may measure one bundle more than once: where two share a name, each has its time too.
    What is no report is left out with a warning. Raises ``BadInput`` when nothing else is there,
    and for a folder that cannot be written.
    """
    files = sorted(file for file in pulled.rglob("*.json") if file.is_file())
    found, refused = [], []
    for file in files:
        content = file.read_bytes()
        try:
            report = parse(content, f"{shown(str(file.relative_to(pulled)))} on the phone")
        except BadInput as error:
            refused.append(one_line(error).removesuffix(f": {GIVE}"))
            continue
        found.append((report["created"], report["name"], folder / file.name, content))
    if refused and not found:
        raise BadInput(
            f"{option}: the phone has no report that can be used ({refused[0]}): measure again in "
            "the app"
        )
    for reason in refused:
        print(f"warning: {option}: {reason}; it is left out", file=sys.stderr)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for _, _, place, content in found:
            replace_file(place, content)
    except OSError as error:
        raise BadInput(f"{option} {folder} cannot be written ({error.strerror})") from None
    names = Counter(name for _, name, _, _ in found)
    return [
        (f"{name}, {created}" if names[name] > 1 else name, place)
        for created, name, place, _ in sorted(found, key=lambda entry: entry[0])
    ]


def shown(name: str) -> str:
    """A name as an error message shows it, in one line whatever it holds."""
    return name if name.isprintable() else repr(name)


def _check_sense(run: dict, place: str, where: str) -> None:
    """What the schema cannot say: counts that agree, percentiles in their order."""
    for name, stage in run["stages"].items():
        if not stage["min"] <= stage["p50"] <= stage["p90"] <= stage["p99"]:
            raise _not_a_report(
                where, f"{place}.stages.{name}: min, p50, p90 and p99 are not in rising order"
            )
    count, calls = run["stages"]["end_to_end"]["count"], len(run["end_to_end_ms"])
    if count != calls:
        raise _not_a_report(
            where, f"{place}.end_to_end_ms: {calls} calls where stages.end_to_end counts {count}"
        )


def _not_a_report(where: str, reason: str) -> BadInput:
    return BadInput(f"{where} is not a latency report ({reason}): {GIVE}")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False


def _no_number(name: str) -> None:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not abs(value) <= MOST:
        raise ValueError(f"it holds {text[:20]}, which is no number that anything measured has")
    return value


def _whole(text: str) -> int:
    _finite(text)  # a thousand digits are an integer to Python, and then no float
    return int(text)
