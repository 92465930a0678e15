"""Where does an int8 bundle lose accuracy?

    python -m mobile_export.diagnose artifacts/mobilenet_v2-action-stream-xnnpack-int8
    python -m mobile_export.diagnose BUNDLE --clips 16 --png noise.png --json noise.json
    python -m mobile_export.diagnose BUNDLE --arm64 --clips 2

Computes, for every value that is rounded to eight bits, the signal-to-quantization-noise ratio in
decibels on held-out clips, worst first: "own" is what this rounding alone adds to exact input,
"reached" what has gathered on the way, against the checkpoint in fp32. 20 dB is noise of a tenth of
the signal. The graph is the one that the bundle was lowered from, made again from the checkpoint;
that it is the same is checked against the golden clip.

--arm64 looks for another loss: on emulated Arm cores, as ``verify --arm64`` runs them, it names the
first value of each clip that is not this machine's to the bit. XNNPACK bundles alone.

Exit status: 0; 2 for input that cannot be used, a bundle that is not int8 among it.
"""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput, run_main
from core.files import finite, write_json
from core.labels import IGNORE
from core.options import Parser, add_data_options, check_file, whole
from mobile_export.console import Steps, check_json_path, quiet
from mobile_export.diagnose.noise import (
    check_same,
    graphs,
    layers_of,
    measure,
    picture,
    table,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule

    from core.model import VideoClassifier
    from mobile_export.bundle.reader import Bundle

CLIPS = 8


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m mobile_export.diagnose",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="folder of an int8 export in stream form")
    add("--clips", type=whole(1), default=CLIPS, help="held-out clips (default %(default)s)")
    add_data_options(parser)
    add("--checkpoint", type=Path, metavar="FILE", help="when it is not the bundled one")
    add("--arm64", action="store_true", help="what emulated Arm cores compute otherwise, instead")
    add("--png", type=Path, metavar="FILE", help="draw all values in order of computation")
    add("--json", type=Path, metavar="FILE", help="write all values")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = make_parser().parse_args(argv)
    if args.arm64 and args.png:
        raise BadInput("--arm64 draws nothing: leave --png out")
    check_json_path(args.json)
    check_file("--png", args.png)
    step = Steps()
    step("load", f"{args.bundle}, its hashes and its checkpoint")
    from core.data.source import given_source
    from core.data.transforms import normalise
    from mobile_export.bundle.origin import find_checkpoint, require_same
    from mobile_export.bundle.reader import load
    from mobile_export.clips import held_out, held_out_or, trained_part

    bundle = load(args.bundle)
    checkpoint = find_checkpoint(bundle, args.checkpoint)
    require_same(bundle, checkpoint)
    config = checkpoint.config
    source = given_source(args, checkpoint.info)
    commands = _arm64_commands(bundle) if args.arm64 else {}
    step("quantize", "the graph that was lowered, once more")
    exact, rounded, model = graphs(bundle, checkpoint, source)
    check_same(bundle, rounded, model)
    held = held_out(source, checkpoint, args.clips)
    drawn = (held[i] for i in range(min(args.clips, len(held))))
    # A clip that cannot be read is black, and black has no noise worth measuring.
    clips = [normalise(pixels, config.mean, config.std) for pixels, of in drawn if of != IGNORE]
    if not clips:
        raise BadInput(f"none of the {len(held)} clips can be read: repair them")
    step("measure", f"{len(clips)} {held_out_or(trained_part(held, checkpoint))}")
    if args.arm64:
        return _arm64(commands, rounded, model, clips, args.json)
    found = measure(exact, rounded, model, clips)
    print(table(found))
    if args.png:
        picture(found, [node.name for node in exact.graph.nodes], args.png)
    if args.json:
        write_json("--json", args.json, [finite(asdict(noise)) for noise in found])
    return 0


def _arm64_commands(bundle: "Bundle") -> dict[str, list[str]]:
    """How each emulated core and this machine are started. Raises ``BadInput``."""
    from mobile_export.runtime.native.build import CORES, arm64_command, host_command

    if bundle.manifest["target"] != "xnnpack":
        raise BadInput(f"--arm64 is for XNNPACK bundles, {bundle.path} is none")
    return {"this machine": host_command()} | {core: arm64_command(core) for core in CORES}


def _arm64(
    commands: dict[str, list[str]],
    rounded: "GraphModule",
    model: "VideoClassifier",
    clips: "list[Tensor]",
    path: Path | None,
) -> int:
    """Print, and write to ``path``, where emulated Arm cores first differ on each clip."""
    here, *cores = commands
    found = []
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            from mobile_export.diagnose import divergence
            from mobile_export.quantization.pt2e import convert
            from mobile_export.quantization.training import scheme_of

            layers = layers_of(rounded)
            converted = convert(rounded, scheme_of("xnnpack"))
            traced = divergence.Traced(converted, model, Path(folder))
        for core in cores:
            with (
                traced.opened(commands[here], here) as ours,
                traced.opened(commands[core], core) as theirs,
            ):
                for clip in clips:
                    found.append(divergence.first_difference(traced, layers, ours, theirs, clip))
    print(divergence.table([core for core in cores for _ in clips], found))
    if path:
        write_json("--json", path, [d and d.to_dict() for d in found])
    return 0


if __name__ == "__main__":
    run_main(main)
