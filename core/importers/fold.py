"""Where the shift of a TSM checkpoint is, and which part of the channels it moves.

The place stands in the keys, the part does not.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.errors import BadInput
from core.shift import SHIFT_DIVISOR

WHOLE = re.compile(r"(layer\d\.\d+)\.net\.(?=conv|bn|downsample)")
# As in ..._shift8_blockres_avg_..., and shift_div=4 or shift_div4.
NAMED = re.compile(r"(?<![a-z])shift(?:(\d+)(?=_block)|_?div[_=]?(\d+))", re.IGNORECASE)
MOST = 64  # a larger number behind the word is a date or a count
ARGUMENTS = ("shift_div", "fold_div", "n_div", "shift_fold")


def fold_of(path: Path, arguments: dict[str, Any], given: int | None) -> tuple[int, str]:
    """The divisor of the channels, and where it is from.

    Raises ``BadInput`` where the file's name and its arguments disagree and nothing was given.
    """
    named = {int("".join(m)) for m in NAMED.findall(path.name)}
    named = {fold for fold in named if 1 < fold <= MOST}
    told = {int(arguments[k]) for k in ARGUMENTS if str(arguments.get(k, "")).isdecimal()}
    told.discard(0)
    if given is not None:
        return given, "as --fold says"
    if len(named | told) > 1:
        raise BadInput(
            f"{path}: its name and its arguments say that its shift moves "
            f"{' and '.join(f'1/{n}' for n in sorted(named | told))} of the channels: say which "
            "with --fold N"
        )
    if told:
        return told.pop(), "as its arguments say"
    if named:
        return named.pop(), "as its name says"
    return SHIFT_DIVISOR, "TSM's default, which nothing in the file confirms: else give --fold N"


def refuse_other_shifts(path: Path, keys: list[str], arguments: dict[str, Any]) -> None:
    """Refuse, by the cause, models of TSM's code that this project does not have.

    A name that says another place of the shift than the keys is refused too.
    """
    other = next((key for key in keys if re.search(r"(^|\.)(nl|non_local_block)\.", key)), None)
    if other is not None:
        raise BadInput(
            f"{path} has non-local blocks ({other}), which this project has not: train without them"
        )
    if any(re.search(r"layer3\.(6|22)\.", key) for key in keys):
        deep = "101" if any(re.search(r"layer3\.22\.", key) for key in keys) else "of another depth"
        raise BadInput(f"{path} is a ResNet-{deep}, which this project has not: give a ResNet-50")
    said = str(arguments.get("shift_place", "")) == "block"
    said = said or bool(re.search(r"shift\d+_block(?!res)", path.name))
    if said and not shifts_whole_blocks(keys):
        raise BadInput(
            f"{path} says that whole blocks are shifted (--shift_place block), and its keys that "
            "their first convolutions are: rename it, or give the right file"
        )


def shifts_whole_blocks(keys: Iterable[str]) -> bool:
    """Whether a shift wraps the bottlenecks of a ResNet, skip connections and all."""
    return any(WHOLE.search(key) for key in keys)


def within(key: str) -> str:
    """The key of a wrapped bottleneck's part as it is called without the shift around it."""
    return WHOLE.sub(r"\1.", key)
