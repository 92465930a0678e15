"""Which classes count: a subset of those that there are, merged or renamed, by a small JSON file.

```
["Thumb Up", "Thumb Down", "No gesture"]      keep these alone

{"like": "Thumb Up",                          rename
 "left": ["Swiping Left", "Sliding Two Fingers Left"],    merge
 "nothing": ["No gesture", "*"]}              and "*": all that are named nowhere
```

The new classes stand in the order of the file. What is named nowhere is dropped, unless a class
takes ``"*"``, which then means no gesture. Of a trained model a dropped class loses its logit, so
that the others' probabilities add up to one without it; a merged class has the sum of the
probabilities. Of clips those of a dropped class are left out.

Nothing but names and numbers in here: ``regroup`` does it to a model, ``data.relabelled`` to clips.
"""

import argparse
import difflib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import BadInput

REST = "*"
EXAMPLE = '["Thumb Up", "No gesture"] or {"like": "Thumb Up", "none": "*"}'


@dataclass(frozen=True)
class ClassMap:
    """New classes with the old ones in each, in order; ``where`` is what an error names.

    ``known`` are all the old classes in theirs, once they are known: see ``over``.
    """

    groups: tuple[tuple[str, tuple[str, ...]], ...]
    where: str = "classes"
    known: tuple[str, ...] | None = None

    @property
    def labels(self) -> list[str]:
        """The new classes."""
        return [name for name, _ in self.groups]

    @property
    def named(self) -> list[str]:
        """The old classes that the file names."""
        return [old for _, members in self.groups for old in members if old != REST]

    def over(self, labels: Sequence[str]) -> "ClassMap":
        """The map of these old classes, all of them.

        Raises ``BadInput`` for a class that is none of them and a new one that holds none of them.
        """
        for old in self.named:
            if old not in labels:
                raise BadInput(
                    f"{self.where}: {old!r} is none of the {len(labels)} classes: "
                    f"{_nearest(old, labels)}"
                )
        found = replace(self, known=tuple(labels))
        empty = next((name for name, members in found.members().items() if not members), None)
        if empty is not None:
            raise BadInput(f"{self.where}: {empty!r} holds no class, all are named: leave it out")
        return found

    def numbers(self, labels: Sequence[str]) -> list[int | None]:
        """The number of the new class of each old one; ``None`` for those that are dropped."""
        place = {old: i for i, (_, members) in enumerate(self.groups) for old in members}
        return [place.get(old, place.get(REST)) for old in labels]

    def members(self) -> dict[str, list[str]]:
        """The old classes of each new one, ``"*"`` in full; of a map that knows them (``over``)."""
        known = self.known or ()
        numbers = self.numbers(known)
        return {
            name: [old for old, number in zip(known, numbers, strict=True) if number == i]
            for i, name in enumerate(self.labels)
        }

    @property
    def dropped(self) -> list[str]:
        """The old classes that no new one holds, once they are known."""
        known = self.known or ()
        return [o for o, n in zip(known, self.numbers(known), strict=True) if n is None]

    def idle(self, before: Collection[str]) -> list[str]:
        """The new classes that mean no gesture by what they hold.

        That is the rest, and those of old ones alone that meant it ``before``.
        """
        return [
            name
            for name, members in self.groups
            if REST in members or all(old in before for old in members)
        ]

    def is_of(self, labels: Sequence[str]) -> bool:
        """Whether a model with these labels knows the new classes already.

        It does where the old ones are not its, and where they would become what they are.
        """
        same = self.numbers(labels) == list(range(len(labels)))
        return list(labels) == self.labels and (
            same or any(old not in labels for old in self.named)
        )

    def told(self) -> str:
        """In one line, what becomes of the classes; of a map that knows them."""
        count = f"{len(self.known or ())} classes become {len(self.groups)}"
        if not self.dropped:
            return count
        return (
            f"{count}; {len(self.dropped)} are dropped ({', '.join(self.dropped[:3])}"
            f"{', ...' if len(self.dropped) > 3 else ''}): live, what they are is taken for one of "
            f'the others, unless one takes "{REST}"'
        )

    def __str__(self) -> str:
        """The file's content, in one form: two maps are alike when these are."""
        return json.dumps({name: list(members) for name, members in self.groups})


def read_classes(path: str | os.PathLike[str]) -> ClassMap:
    """The map in a JSON file. Raises ``BadInput``, in one line, for one that makes no sense."""
    where = f"--classes {path}"
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=_Pairs)
    except OSError as error:
        raise BadInput(f"{where} cannot be read ({error.strerror}): give a JSON file") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{where} is not JSON ({reason}): give one like {EXAMPLE}") from None
    return _made(value, where)


def class_map(value: "ClassMap | Mapping | Sequence | str | os.PathLike | None") -> ClassMap | None:
    """What a call was given: a map, its content, the file of one, or ``None``."""
    if value is None or isinstance(value, ClassMap):
        return value
    if isinstance(value, str | os.PathLike):
        return read_classes(value)
    return _made(_Pairs(value.items()) if isinstance(value, Mapping) else value, "classes")


def add_classes_option(parser: argparse.ArgumentParser, what: str) -> None:
    """The option ``--classes`` of a command line; ``what`` is what it does there."""
    parser.add_argument("--classes", type=_option, metavar="JSON", help=what)


def _option(text: str) -> ClassMap:
    try:
        return read_classes(text)
    except BadInput as error:  # which argparse would take for a plain ValueError
        raise argparse.ArgumentTypeError(str(error).removeprefix("--classes ")) from None


class _Pairs(list):
    """The pairs of a JSON object, names that stand twice among them."""


def _made(value: object, where: str) -> ClassMap:
    if isinstance(value, list | tuple) and not isinstance(value, _Pairs):
        value = _Pairs((name, name) for name in value)
    if not isinstance(value, _Pairs):
        raise BadInput(f"{where} is neither a list nor an object: give one like {EXAMPLE}")
    groups = [(new, _members(new, old, where)) for new, old in value]
    for what, names in (
        ("the new class", [new for new, _ in groups]),
        ("the class", [old for _, members in groups for old in members]),
    ):
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            raise BadInput(f"{where}: {what} {twice!r} is named twice: leave one")
    if len(groups) < 2:
        left = f"only {groups[0][0]!r}" if groups else "nothing"
        raise BadInput(f"{where} leaves {left}: give at least two classes")
    return ClassMap(tuple(groups), where)


def _members(new: object, old: object, where: str) -> tuple[str, ...]:
    given = list(old) if isinstance(old, list | tuple) else [old]
    members = tuple(name for name in given if isinstance(name, str))
    for name in (new, *given):
        if not isinstance(name, str) or not name.strip():
            raise BadInput(f"{where}: {name!r} is no name of a class: give one like {EXAMPLE}")
    if new == REST:
        raise BadInput(f'{where}: "{REST}" is what a class may hold: give that class a name')
    if not members:
        raise BadInput(f"{where}: {new!r} holds no class: name one, or leave it out")
    return members


def _nearest(name: str, labels: Sequence[str]) -> str:
    folded = {label.casefold(): label for label in labels}
    near = difflib.get_close_matches(name.casefold(), folded, 1)
    if near:
        return f"did you mean {folded[near[0]]!r}?"
    return f"give one of {', '.join(map(repr, labels[:3]))}{', ...' if len(labels) > 3 else ''}"
