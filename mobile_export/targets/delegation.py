"""Lowering to an ExecuTorch program, and the checks that XNNPACK and Vulkan share.

Lowering proves nothing by itself, but a graph that is not delegated whole is slow or wrong on a
phone, so the program is refused unless it is exactly one delegate call with nothing outside it.
"""

import operator
from collections import Counter
from pathlib import Path

import torch
from torch.export import ExportedProgram

from core.files import write_bytes
from mobile_export.targets import LoweringError
from mobile_export.targets.quick import (
    code_when_called,
    needed_passes,
    no_types_checked,
    quick_provenance,
)

PTE = "model.pte"
_DELEGATE = "executorch_call_delegate"


def lower_whole(
    program: ExportedProgram, partitioner: object, out: Path, allow_partial: bool
) -> tuple[Path, dict]:
    """Lower ``program`` with one partitioner and write ``out/model.pte`` atomically.

    Returns the path and what the manifest says about the delegation: ``delegate_calls``,
    ``operators_outside`` (name -> count) and ``bytes``. Raises ``LoweringError``, and writes
    nothing, when something stays outside the one delegate call and ``allow_partial`` is false.
    """
    # Imported here: it takes seconds, and the command line has errors to report before.
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes import MemoryPlanningPass

    with quick_provenance(), needed_passes(), no_types_checked(), code_when_called():
        edge = to_edge_transform_and_lower(program, partitioner=[partitioner])
        calls, outside = delegation(edge.exported_program().graph)
        if not allow_partial:
            require_whole(calls, outside)
        # R14: inputs without memory of their own. The runtime reads the caller's in place of
        # copying a frame of 600 kB and the state into its own at every call.
        planning = MemoryPlanningPass(alloc_graph_input=False)
        executable = edge.to_executorch(ExecutorchBackendConfig(memory_planning_pass=planning))
        # The memory planner may still add operators (casts, copies): look at the final graph too.
        calls, outside = delegation(executable.exported_program().graph)
        if not allow_partial:
            require_whole(calls, outside)
    path = write_bytes(out / PTE, executable.buffer)
    details = {
        "delegate_calls": calls,
        "operators_outside": dict(outside),
        "bytes": path.stat().st_size,
    }
    return path, details


def delegation(graph: torch.fx.Graph) -> tuple[int, Counter[str]]:
    """Number of delegate calls in a lowered graph, and the operators outside them by name."""
    calls, outside = 0, Counter[str]()
    for node in graph.nodes:
        if node.op != "call_function" or node.target is operator.getitem:
            continue
        name = getattr(node.target, "__name__", str(node.target))
        if name == _DELEGATE:
            calls += 1
        elif name != "alloc":  # where the memory planner puts a result, not an operation
            outside[name] += 1
    return calls, outside


def require_whole(calls: int, outside: Counter[str]) -> None:
    """Raise ``LoweringError``, naming the operators, unless one delegate call is all there is."""
    if outside:
        names = ", ".join(f"{name} x{count}" for name, count in sorted(outside.items()))
        raise LoweringError(
            f"operators outside the delegate: {names} ({calls} delegate calls); rewrite them or "
            "pass --allow-partial"
        )
    if calls != 1:
        raise LoweringError(
            f"{calls} delegate calls instead of one: the delegate does not take the graph whole; "
            "pass --allow-partial to keep it so"
        )
