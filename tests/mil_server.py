"""A Core ML package behind a pair of streams, executed by this project's interpreter.

A call: the frame as RGB bytes (3, S, S), then every state as little-endian numbers of its type, in
the manifest's order. The answer: every output so. The other end is ios_demo's Replay.
"""

from typing import BinaryIO

import numpy as np
import torch

from mobile_export.bundle.reader import Bundle
from mobile_export.runtime.mil import MilProgram

TYPES = {"float16": "<f2", "float32": "<f4"}


def serve(bundle: Bundle, source: BinaryIO, sink: BinaryIO) -> int:
    """Answer calls until ``source`` ends; how many they were."""
    manifest = bundle.manifest
    program = MilProgram(bundle.path / manifest["artifact"]["file"])
    frame = manifest["input"]
    calls = 0
    while data := source.read(int(np.prod(frame["shape"]))):
        named = {frame["name"]: _tensor(data, np.uint8, frame["shape"])}
        for state in manifest["state"]:
            kind = np.dtype(TYPES[state["dtype"]])
            data = source.read(kind.itemsize * int(np.prod(state["shape"])))
            named[state["input"]] = _tensor(data, kind, state["shape"])
        answer = program(named)
        for output in manifest["outputs"]:
            sink.write(answer[output["name"]].numpy().astype(TYPES[output["dtype"]]).tobytes())
        sink.flush()
        calls += 1
    return calls


def _tensor(data: bytes, kind: np.dtype | type, shape: list[int]) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(data, kind).reshape(shape).astype(np.float32))
