"""Make the artifact of one contender of ``peers.py``, in a process of its own.

    python benchmarks/peers_prepare.py MODEL FORM PRECISION RUNTIME FOLDER SIZE FRAMES

Writes the artifact and ``meta.json`` to FOLDER: the file's name and what the row says about it.
"""

import sys
from pathlib import Path

import peers_models
from peers_contenders import NATIVE

from core import checkpoint
from core.checkpoint import Checkpoint
from core.errors import run_main
from core.files import write_json
from mobile_export.graph.fold import folded


def prepared(name: str, form: str, precision: str, runtime: str, out: Path, size: tuple) -> dict:
    """Write one artifact into ``out``; what is known about it."""
    if name == "products":
        import peers_limits  # in each branch what it needs: one that breaks leaves the others

        return peers_limits.lower_products(precision, out)
    loaded = peers_models.built(name, *size)
    model = loaded.model
    _, *state = peers_models.inputs_of(model, form)
    meta = {"state_bytes": sum(x.nbytes for x in state)}
    if runtime in NATIVE:
        meta |= _executorch(loaded, form, precision, runtime, out)
    elif runtime == "onnxruntime":
        meta |= _onnx(model, form, precision, out)
    else:
        checkpoint.save(out / "model.safetensors", model, loaded.labels)
        meta |= {"file": "model.safetensors"}
    return meta


def _executorch(loaded: Checkpoint, form: str, precision: str, runtime: str, out: Path) -> dict:
    import peers_limits

    from mobile_export.targets import xnnpack

    model, labels = loaded.model, loaded.labels
    if runtime == "naive-executorch":
        peers_models.use_formulas(model)
        lowered = xnnpack.lower(model, form, precision, [], out, labels=labels, allow_partial=True)
        kept = ("delegate_calls", "operators_outside")
        return {"file": lowered.artifact.name} | {key: lowered.details[key] for key in kept}
    clips = peers_models.random_clips(model)
    lowered = xnnpack.lower(model, form, precision, clips, out, labels=labels)
    found = peers_limits.count(folded(model), form, precision)
    path = lowered.artifact
    return {"file": path.name, "state_bytes": _state_bytes(path), **found}


def _onnx(model: object, form: str, precision: str, out: Path) -> dict:
    """The faster of the graph as it was trained and the one that ExecuTorch gets."""
    import peers_onnx  # here: the other contenders do without ONNX Runtime

    from mobile_export.graph import forms

    sources, bytes_of_state = {}, {}
    variants = {"trained": folded(model)}
    if model.config.temporal == "action":  # the one that differs
        variants["fused"] = forms.deployed(model, "xnnpack")
    for name, variant in variants.items():
        inputs = peers_models.inputs_of(variant, form)
        sources[name] = out / f"{name}.onnx"
        peers_onnx.export(variant, form, inputs, sources[name])
        bytes_of_state[name] = sum(x.nbytes for x in inputs[1:])
    path = out / "model.onnx"
    if precision == "fp32":
        found = peers_onnx.keep_fastest(sources, path)
    else:
        clips = [clip.numpy() for clip in peers_models.random_clips(model)]
        found = peers_onnx.quantize(sources, clips, path)
        for source in sources.values():
            source.unlink()
    used = found["recipe"].rpartition(", ")[2]
    return {"file": path.name, "state_bytes": bytes_of_state[used], **found}


def _state_bytes(artifact: Path) -> int:
    """What the program takes besides the frame; its state may be laid out otherwise than ours."""
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(artifact)
    meta = program.load_method("forward").metadata
    return sum(meta.input_tensor_meta(i).nbytes() for i in range(1, meta.num_inputs()))


def main() -> int:
    """Entry point; returns the exit status."""
    name, form, precision, runtime, folder, *size = sys.argv[1:]
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    meta = prepared(name, form, precision, runtime, out, tuple(map(int, size)))
    write_json("FOLDER", out / "meta.json", meta)  # its being there says that all is
    return 0


if __name__ == "__main__":
    run_main(main)
