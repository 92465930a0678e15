"""Times of the operators inside a program, by ExecuTorch's own trace (ETDump).

Tracing makes a call slower, so it has a process of its own and nothing else is timed there.
"""

import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from core.errors import BadInput
from mobile_export.latency.stats import rounded

WARMUP, CALLS = 5, 30
NATIVE = "native_call_"  # in front of the name of an operator that no delegate took
WHOLE = "Method::execute"  # the event around all others of a call

Span = tuple[str, int]  # name of an event and its nanoseconds


def trace(request: dict) -> dict:
    """Trace calls on the request's pictures; see ``figures`` for what comes back.

    ``request`` has ``bundle``, ``pictures`` and ``threads``. Raises ``BadInput`` where the runtime
    was built without tracing.
    """
    import torch

    from core.data.transforms import normalise, resize_crop
    from mobile_export.bundle.reader import load
    from mobile_export.latency.measure import use_threads
    from mobile_export.latency.paths import in_clips
    from mobile_export.latency.pictures import frames_a_call
    from mobile_export.runtime.light import portable_lib

    use_threads(request["threads"])
    bundle = load(Path(request["bundle"]))
    config, ports = bundle.config, bundle.inputs
    clips = in_clips(np.load(request["pictures"]), frames_a_call(bundle))  # of one frame: a stream
    module = portable_lib()._load_for_executorch(str(bundle.artifact), enable_etdump=True)
    if not module.has_etdump():
        raise BadInput("this build of ExecuTorch's runtime has no tracing")
    state = bundle.zeros()[1:]
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        for index in range(WARMUP + CALLS):
            pixels = resize_crop(clips[index % len(clips)], config.size)  # (T, 3, S, S)
            inputs = [normalise(pixels, config.mean, config.std), *state]
            # The runtime reads memory as the program declares it.
            inputs = [port.ordered(x) for port, x in zip(ports, inputs, strict=True)]
            _, *state = module.forward(inputs)
        file = Path(folder, "trace.etdp")
        module.write_etdump_result_to_file(str(file))
        return figures(list(read(file))[WARMUP:])


def read(file: Path) -> Iterator[list[Span]]:
    """The events of each call in an ETDump.

    ExecuTorch's developer tools turn the file into JSON by a program of theirs, ``flatc``.
    """
    from executorch.devtools.etdump.serialize import deserialize_from_etdump_flatcc

    for run in deserialize_from_etdump_flatcc(file.read_bytes()).run_data:
        events = [event.profile_event for event in run.events or () if event.profile_event]
        spans = [
            (event.delegate_debug_id_str or event.name or "", event.end_time - event.start_time)
            for event in events
        ]
        if any(name == WHOLE for name, _ in spans):  # the first run is the loading
            yield spans


def figures(calls: Sequence[list[Span]]) -> dict:
    """From the events of every call: ``operators`` by kind, slowest first, and ``call_ms``.

    Both are medians over the calls. ``delegated`` is the number of the delegate's operators in one
    call. Events that only enclose others are left out. Raises ``BadInput`` without operators.
    """
    totals: dict[str, list[int]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for spans in calls:
        counts = Counter(kind for name, _ in spans if (kind := kind_of(name)))
        sums: Counter[str] = Counter()
        for name, nanoseconds in spans:
            if kind := kind_of(name):
                sums[kind] += nanoseconds
        for kind in counts:
            totals[kind].append(sums[kind])
    if not totals:
        raise BadInput("the delegate and the runtime tell of no operators")
    found = [
        {"name": kind.removeprefix(NATIVE), "calls": counts[kind], "ms": rounded(median(t) / 1e6)}
        for kind, t in totals.items()
    ]
    wholes = [nanoseconds for spans in calls for name, nanoseconds in spans if name == WHOLE]
    return {
        "operators": sorted(found, key=lambda operator: -operator["ms"]),
        "delegated": sum(n for kind, n in counts.items() if not kind.startswith(NATIVE)),
        "call_ms": rounded(median(wholes) / 1e6),
    }


def kind_of(name: str) -> str | None:
    """What operators of one kind share; None for an event that is no operator.

    XNNPACK numbers its operators: ``Convolution (NHWC, QC8) DWConv #3``.
    """
    if name.startswith(NATIVE):
        return name
    kind, numbered = re.subn(r" #\d+$", "", name)
    return kind if numbered else None


def note(found: dict, execute_ms: float) -> str:
    """What the operators leave out of ``execute_ms``, the median of the stage without tracing."""
    operators, delegated = found["operators"], found["delegated"]
    total = sum(operator["ms"] for operator in operators)
    count = sum(operator["calls"] for operator in operators)
    return (
        f"Sum {total:.3f} ms of {count} operators. XNNPACK tells whole microseconds, rounded down: "
        f"its {delegated} took up to {delegated / 1e3:.3f} ms more, and one of less than a "
        f"microsecond reads 0. A traced call took {found['call_ms']:.3f} ms inside the runtime; "
        f"execution without tracing {execute_ms:.3f} ms, with the input brought into memory order, "
        "copies of the outputs and Python around it."
    )
