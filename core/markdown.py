"""Tables of Markdown."""

from collections.abc import Collection, Iterable, Sequence


def markdown(
    head: Sequence[str], rows: Iterable[Iterable[object]], right: Collection[str] = ()
) -> str:
    """A table with the columns ``head``; those in ``right`` hold numbers and end on the right."""
    marks = ["---:" if name in right else "---" for name in head]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in (head, marks, *rows))
