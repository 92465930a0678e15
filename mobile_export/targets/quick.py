"""What makes lowering quicker and leaves the program as it is, byte for byte.

A lowering runs some forty passes over the graph, each of which computes every node's shape anew.
All of these reach into libraries; ``tests/test_quick.py`` holds the programs to those without.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch.export import ExportedProgram
from torch.fx import GraphModule, traceback
from torch.fx.graph import _PyTreeCodeGen

NAME = "XNNPACKPassManager"  # what ``preprocess`` makes and runs
TYPES = "_check_tensor_args_matching_op_allowed_dtype"  # of the Edge dialect's verifier
# XNNPACK's passes that look for one kind of operator, by a part of its name. The first two trace
# patterns of their own before they look, which takes longer than all the rest.
LOOK_FOR = {
    "ConvertToUpsampleBilinear2d": ("index", "upsample"),
    "ConvertToSDPAPass": ("softmax", "scaled_dot_product"),
    "FuseBatchNormPass": ("batch_norm",),
    "DecomposeBatchNorm": ("batch_norm",),
    "DecomposeConcatenate": ("cat",),
    "RemoveGetItemPass": ("max_pool2d_with_indices", "max.dim"),
    "PReLUReshapePass": ("prelu",),
}


@contextlib.contextmanager
def _replaced(owner: object, name: str, other: object) -> Iterator[None]:
    """Another attribute in the place of a library's own, as long as this lasts."""
    own = getattr(owner, name)
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, own)


@contextlib.contextmanager
def quick_provenance() -> Iterator[None]:
    """Share the provenance records of graph nodes instead of copying them; a third faster.

    Each pass of a lowering copies every node's whole history, which nothing reads here. The records
    are never changed once made, so sharing them gives the same program.
    """
    record: Any = traceback.NodeSource
    record.__deepcopy__ = lambda self, memo: self
    try:
        yield
    finally:
        del record.__deepcopy__


@contextlib.contextmanager
def needed_passes() -> Iterator[None]:
    """Leave out XNNPACK's passes whose operators the graph has not; a fifth to a third faster.

    See ``LOOK_FOR``. The manager is put in the place of XNNPACK's own as long as this lasts.
    """
    from executorch.backends.xnnpack import xnnpack_preprocess

    whole = getattr(xnnpack_preprocess, NAME)

    def needed(exported_program: ExportedProgram, passes: list | None = None) -> Any:
        manager = whole(exported_program, passes)
        there = " ".join({str(node.target) for node in exported_program.graph.nodes})
        manager.passes = [
            p
            for p in manager.passes
            if any(part in there for part in LOOK_FOR.get(p.__name__, ("",)))
        ]
        return manager

    with _replaced(xnnpack_preprocess, NAME, needed):
        yield


@contextlib.contextmanager
def no_types_checked() -> Iterator[None]:
    """Do not look behind every pass whether each operator takes the types that it is given.

    That computes the whole graph once more, for an error that would name the library's own pass. A
    program that mixes types does not load, and every program is executed before it is kept. Which
    operators there are is still checked.
    """
    from executorch.exir.verification import verifier

    with _replaced(verifier, TYPES, lambda graph: None):
        yield


@contextlib.contextmanager
def code_when_called() -> Iterator[None]:
    """Generate the Python of a graph when it is called, which is hardly ever; a seventh faster.

    Every pass makes a new ``GraphModule`` or changes one, and each time its code is written and
    compiled, though passes interpret the graph. torch has such a module (``_LazyGraphModule``), but
    no way to have it made everywhere.
    """
    whole = GraphModule.recompile

    def called(self: GraphModule, *args: Any, **kwargs: Any) -> Any:
        whole(self)
        return type(self).forward(self, *args, **kwargs)

    def later(self: GraphModule) -> None:
        codegen = self.graph._codegen
        if isinstance(codegen, _PyTreeCodeGen):
            self._in_spec, self._out_spec = codegen.pytree_info[1:3]
        self._code = ""
        type(self).forward = called  # a class of this module alone

    with _replaced(GraphModule, "recompile", later):
        yield
