"""The converted graph of a target that cannot run here, as data: JSON and safetensors.

A bundle carries it so that anyone can evaluate what was lowered. ``torch.export.load`` unpickles
(torch/export/pt2_archive/_package.py, ``weights_only=False``), which a file from elsewhere must
not do; this format names operators of two libraries and holds tensors, nothing else.
"""

import json
import math
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, fx, nn

from core.errors import BadInput
from mobile_export.errors import LoweringError

FOLDER = "proxy"
GRAPH, TENSORS = "graph.json", "tensors.safetensors"
LIBRARIES = ("aten", "quantized_decomposed")
VIEWS = ("aten.view.default", "aten.reshape.default")
NAMED = {"dtype": torch.dtype, "layout": torch.layout, "memory_format": torch.memory_format}
SIDE_BY_SIDE = 2  # batch of the trial that shows whether the graph fixes its batch
# Rounding differs with the batch and flips a few quantized values, 5 % of the range at most; a
# graph that mixes rows is off by the whole range.
SAME_ROW = 0.2


class ProxyRunner:
    """Runs a converted graph eagerly; see ``mobile_export.runtime``."""

    proxy = True

    def __init__(self, graph: "_Graph", name: str, batch: int | None) -> None:
        self.graph, self.name, self.batch = graph, name, batch

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """One call of the graph."""
        with torch.inference_mode():
            return self.graph(*inputs)


def save_proxy(converted: nn.Module, inputs: Sequence[Tensor], folder: Path) -> None:
    """Write the graph of ``converted``, traced on ``inputs``, into a new folder.

    Raises ``LoweringError`` for an operator that the format does not take.
    """
    if not isinstance(converted, fx.GraphModule):
        converted = torch.export.export(converted, tuple(inputs)).module()
    nodes, tensors = [], {}
    for node in converted.graph.nodes:
        entry = {"op": node.op, "name": node.name}
        if node.op == "get_attr":
            # A copy: safetensors refuses tensors that share memory.
            value = operator.attrgetter(node.target)(converted)
            tensors[node.name] = value.detach().clone().contiguous()
        elif node.op == "output":
            entry["args"] = _encode(list(node.args[0]))
        elif node.op == "call_module" and not node.users:
            continue  # the check of input shapes that torch.export adds
        elif node.op != "placeholder":
            entry["op"] = _target_name(node)
            entry["args"] = _encode(_free_batch(node))
            entry["kwargs"] = {key: _encode(value) for key, value in node.kwargs.items()}
        nodes.append(entry)
    folder.mkdir()
    save_file(tensors, folder / TENSORS)
    (folder / GRAPH).write_text(json.dumps(nodes, separators=(",", ":"), allow_nan=False))


def open_proxy(folder: Path, inputs: Sequence[Tensor]) -> ProxyRunner:
    """Read what ``save_proxy`` wrote; ``inputs`` are zeros in the graph's input shapes.

    Raises ``BadInput`` for a damaged file or one that names anything but plain operators.
    """
    try:
        tensors = load_file(folder / TENSORS)
        graph = _Graph(json.loads((folder / GRAPH).read_text()), tensors)
        if not len(graph.inputs) == len(graph.outputs) == len(inputs):
            raise ValueError(f"{len(inputs)} inputs and as many outputs are wanted")
        batch = None if len(inputs[0]) == 1 and _any_batch(graph, inputs) else 1
    except (
        OSError,
        RuntimeError,  # RecursionError among it
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        SafetensorError,
    ) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInput(f"proxy graph {folder} cannot be read ({reason}): export again") from None
    return ProxyRunner(graph, "converted graph, evaluated eagerly (proxy of the artifact)", batch)


def _target_name(node: fx.Node) -> str:
    if node.target is operator.getitem:
        return "getitem"
    name = str(node.target)  # "aten.conv2d.default"
    if node.op != "call_function" or name.split(".")[0] not in LIBRARIES:
        raise LoweringError(f"the converted graph holds {name}, which cannot be stored as a proxy")
    if node.target._schema.is_mutable:
        # relu_ and its like: the same as relu as long as nobody else reads the overwritten value.
        if len(node.args[0].users) > 1:
            raise LoweringError(f"the converted graph overwrites a value in {name} that it needs")
        name = name.replace("_.", ".", 1)
    return name


def _free_batch(node: fx.Node) -> list:
    """Arguments; a view to a batch of 1 takes any batch, which is the same at 1."""
    args = list(node.args)
    if str(node.target) in VIEWS and args[1][0] == 1 and -1 not in args[1]:
        args[1] = [-1, *args[1][1:]]
    return args


def _operator(name: str) -> Any:
    if name == "getitem":
        return operator.getitem
    library, packet, overload = name.split(".")
    if library not in LIBRARIES:
        raise ValueError(f"operator {name} is of no known library")
    found = getattr(getattr(getattr(torch.ops, library), packet), overload)
    if found._schema.is_mutable:
        raise ValueError(f"operator {name} writes into its arguments")
    return found


def _encode(value: Any) -> Any:
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float):
        return value
    for key, kind in NAMED.items():
        if isinstance(value, kind):
            return {key: str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": "cpu"}
    raise LoweringError(f"the converted graph holds {value!r}, which cannot be stored as a proxy")


def _decode(value: Any, known: set[str]) -> Any:
    if isinstance(value, list):
        return [_decode(item, known) for item in value]
    if isinstance(value, str):  # text is what an operator names a file with
        raise ValueError("an argument is text")
    if not isinstance(value, dict):
        return value
    ((key, name),) = value.items()
    if key == "node":
        if name not in known:
            raise ValueError(f"value {name} is used before it is made")
        return _Ref(name)
    if key == "float":
        return float(name)
    if key == "device":
        return torch.device("cpu")
    found = getattr(torch, name)
    if not isinstance(found, NAMED[key]):
        raise ValueError(f"{name} is no {key}")
    return found


class _Ref(str):
    """The name of a value made earlier, among arguments that are values themselves."""


class _Graph:
    """Interprets the stored nodes in order. No code is generated from what the file says."""

    def __init__(self, nodes: list[dict], tensors: dict[str, Tensor]) -> None:
        self.tensors, self.inputs, self.steps, self.outputs = {}, [], [], []
        known: set[str] = set()
        for node in nodes:
            op, name = node["op"], node["name"]
            if op == "get_attr":
                self.tensors[name] = tensors[name]
            elif op == "placeholder":
                self.inputs.append(name)
            elif op == "output":
                self.outputs = _decode(node["args"], known)
            else:
                kwargs = {key: _decode(value, known) for key, value in node["kwargs"].items()}
                self.steps.append((name, _operator(op), _decode(node["args"], known), kwargs))
            known.add(name)

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        values = self.tensors | dict(zip(self.inputs, inputs, strict=True))
        for name, function, args, kwargs in self.steps:
            kwargs = {key: _resolve(value, values) for key, value in kwargs.items()}
            values[name] = function(*_resolve(args, values), **kwargs)
        return _resolve(self.outputs, values)


def _resolve(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, _Ref):
        return values[value]
    return [_resolve(item, values) for item in value] if isinstance(value, list) else value


def _any_batch(graph: _Graph, inputs: Sequence[Tensor]) -> bool:
    """Whether the graph, traced at batch 1, computes each of several rows as it does one."""
    rows = [torch.rand(SIDE_BY_SIDE, *x.shape[1:]) for x in inputs]
    with torch.inference_mode():
        one = graph(*(row[:1] for row in rows))
        try:
            both = graph(*rows)
        except RuntimeError:
            return False
    return all(
        len(b) == SIDE_BY_SIDE and float((b[:1] - a).abs().max()) <= SAME_ROW * float(a.abs().max())
        for a, b in zip(one, both, strict=True)
    )
