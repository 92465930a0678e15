"""Time one contender of ``peers.py`` that needs Python, in a process of its own.

    python benchmarks/peers_worker.py RUNTIME FORM FILE THREADS WARMUP ITERATIONS PAUSE

Prints what the native runner's ``bench`` prints: ``load_ms``, ``first_ms`` and ``ms``. Loading is
from the file to a model that can be called, without the import of the framework; a call is one step
with its state carried, or one clip, on fixed noise. PAUSE milliseconds pass before each that is
counted.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from peers_contenders import COPIED

Call = Callable[[], object]


def onnx_call(file: Path, threads: int) -> Callable[[], Call]:
    """ONNX Runtime."""
    import peers_onnx

    return lambda: peers_onnx.bound_call(peers_onnx.session(file, threads))


def torch_call(runtime: str, form: str, file: Path, threads: int) -> Callable[[], Call]:
    """Eager PyTorch, the same compiled by Inductor, or the papers' formulas in eager PyTorch.

    Channels last, batch norms folded: what PyTorch runs fastest on a processor without changing
    the values. Of ACTION it is the graph as trained alone, where ONNX Runtime has the faster of
    that and the one that ExecuTorch gets (``peers_prepare``).
    """
    import peers_models
    import torch

    from core import checkpoint
    from mobile_export.graph import forms
    from mobile_export.graph.fold import folded

    torch.set_num_threads(threads)

    def load() -> Call:
        model = checkpoint.load(file).model
        if runtime == "naive":
            peers_models.use_formulas(model)
        model = folded(model).to(memory_format=torch.channels_last)
        run = forms.graph_of(model, form)
        if runtime == "compile":
            run = torch.compile(run, dynamic=False)
        frame, *state = (
            x.to(memory_format=torch.channels_last) for x in peers_models.inputs_of(model, form)
        )
        frame.uniform_(-1, 1, generator=torch.Generator().manual_seed(0))

        def call() -> None:
            with torch.inference_mode():
                _, *state[:] = run(frame, *state)

        return call

    return load


def copy_call(threads: int) -> Callable[[], Call]:
    """A copy within memory, divided among threads."""
    import numpy as np

    def load() -> Call:
        source, target = np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)
        parts = np.array_split(target, threads), np.array_split(source, threads)
        pool = ThreadPoolExecutor(threads)
        return lambda: list(pool.map(np.copyto, *parts))

    return load


def timed(call: Call) -> tuple[float, object]:
    """Milliseconds of a call, and its result."""
    start = time.perf_counter()
    result = call()
    return 1e3 * (time.perf_counter() - start), result


def main() -> None:
    """Entry point."""
    runtime, form, file, *numbers = sys.argv[1:]
    threads, warmup, iterations, pause = map(int, numbers)
    if runtime == "numpy":
        load = copy_call(threads)
    elif runtime == "onnxruntime":
        load = onnx_call(Path(file), threads)
    else:
        load = torch_call(runtime, form, Path(file), threads)
    load_ms, call = timed(load)
    first_ms, _ = timed(call)
    for _ in range(warmup):
        call()
    found = []
    for _ in range(iterations):
        time.sleep(pause / 1e3)
        found.append(timed(call)[0])
    print(json.dumps({"load_ms": load_ms, "first_ms": first_ms, "ms": found}))


if __name__ == "__main__":
    main()
