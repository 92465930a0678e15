"""How values and names of reports read, in the table, in the charts and on the terminal."""

SHORT = 12  # digits of a hash that are shown
MISSING = "\N{EN DASH}"
# What Core ML was allowed to use, in words that fit into a chart; all of them use the CPU as well.
UNITS = {"cpuAndNeuralEngine": "ANE", "cpuAndGPU": "GPU", "cpuOnly": "CPU"}


def label_parts(row: dict) -> tuple[str, str]:
    """What a chart calls a row: the report's name, and what ran (the name is shortened first)."""
    threads = f" \N{MULTIPLICATION SIGN}{row['threads']}" if row["threads"] else ""
    fallback = " (fallback)" if row["fallback"] is not None else ""
    return f"#{row['number']} {plain(row['report'])}", f"{plain(what_ran(row))}{threads}{fallback}"


def what_ran(row: dict) -> str:
    """The backend, what it was allowed to use, and its pace where that is not call upon call."""
    units, paced = row["compute_units"], row["paced_at"]
    name = f"{row['backend']} {UNITS[units]}" if units else row["backend"]
    return f"{name} at {paced:g}/s" if paced else name


def plain(text: str) -> str:
    """Text in one line, without control characters: neither a chart nor a page can hold them."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def short(sha256: str) -> str:
    """The digits of a hash that are shown."""
    return sha256[:SHORT]


def figures(value: float) -> str:
    """A measured number with three figures or so: 0.123, 1.23, 12.3, 123."""
    if value >= 1e6:
        return f"{value:.3g}"
    return f"{value:.{3 if value < 1 else 2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def megabytes(value: float) -> str:
    """Bytes as MB of a million."""
    return figures(value / 1e6)


def percent(value: float) -> str:
    """A share of 1 as a percentage."""
    return f"{figures(100 * value)} %"


def milliseconds(value: float) -> str:
    """A time with its unit."""
    return f"{figures(value)} ms"


def brief(value: float) -> str:
    """Two figures or so, where three numbers share a line."""
    return f"{value:.{2 if value < 0.995 else 1 if value < 9.95 else 0}f}"
