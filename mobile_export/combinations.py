"""What each target can do, and the reason for what it cannot.

``python -m mobile_export.combinations`` (or ``python -m mobile_export --list``) prints the table
that the README holds; ``--json`` prints the same as data. Nothing heavy is imported here, so that
a refusal comes at once.
"""

import json

from core.errors import run_main
from core.markdown import markdown
from core.options import Parser

TARGETS = ("coreml", "xnnpack", "vulkan")
FORMS = ("stream", "clip")
PRECISIONS = ("int8", "w8a16", "fp16", "fp32")

# The oldest system that loads a Core ML package, by coremltools' names; the first is the default.
DEPLOYMENT_TARGETS = ("iOS17", "iOS18", "iOS26")

EXECUTED_BY = {
    "coreml": "a reference interpreter for ML Programs; Core ML itself on a Mac",
    "xnnpack": "ExecuTorch's runtime",
    "vulkan": "a reference interpreter for the delegate's graphs, not a GPU",
}

XNNPACK_FP16 = "XNNPACK programs have been executed and measured in fp32 and int8 only"
WEIGHTS_ALONE = "weights in int8 with activations in fp16 are made for Core ML alone"
COREML_CLIP_INT8 = "W8A8 of the clip form has not been converted and measured yet"
VULKAN_CLIP = (
    "the Vulkan delegate takes a floating-point Conv2d only at batch 1, and the clip form folds "
    "its frames into the batch; unrolled, it took about a minute a frame to lower, for a program "
    "that computes what as many calls of the stream do"
)
NO_STREAM = (
    "A bidirectional TSM or ACTION model has no stream form on any target: it needs the next "
    "frame. Nor has one with a learned shift: it would have to keep whole maps."
)
REFUSED = {
    ("xnnpack", "stream", "fp16"): (XNNPACK_FP16, "use --precision int8 or fp32"),
    ("xnnpack", "clip", "fp16"): (XNNPACK_FP16, "use --precision int8 or fp32"),
    **{
        (target, form, "w8a16"): (WEIGHTS_ALONE, "use --precision int8")
        for target in ("xnnpack", "vulkan")
        for form in FORMS
    },
    ("coreml", "clip", "int8"): (COREML_CLIP_INT8, "use --precision w8a16 or fp16"),
    ("vulkan", "clip", "int8"): (VULKAN_CLIP, "use --form stream"),
    ("vulkan", "clip", "fp16"): (VULKAN_CLIP, "use --form stream"),
    ("vulkan", "clip", "fp32"): (VULKAN_CLIP, "use --form stream"),
}


def refusal(
    target: str, form: str, precision: str, deployment_target: str | None = None
) -> str | None:
    """Why a target cannot do this, with the way out; None when it can.

    ``deployment_target`` is the oldest system for Core ML, None where nobody asked for one.
    """
    if (target, form, precision) in REFUSED:
        reason, way_out = REFUSED[target, form, precision]
        return f"{target} {form} {precision} is refused because {reason}: {way_out}"
    if deployment_target is None:
        return None
    if target != "coreml":
        return f"--deployment-target is of Core ML, and {target} has none: leave it out"
    if deployment_target not in DEPLOYMENT_TARGETS:
        return (
            f"deployment target {deployment_target!r} is unknown: give "
            f"{' or '.join(DEPLOYMENT_TARGETS)}"
        )
    return None


def supported() -> list[tuple[str, str, str]]:
    """Every (target, form, precision) that can be exported."""
    every = ((t, f, p) for t in TARGETS for f in FORMS for p in PRECISIONS)
    return [combination for combination in every if refusal(*combination) is None]


def table() -> str:
    """The combinations as a Markdown table, numbered reasons and what holds for every target."""
    reasons: list[str] = []
    rows = []
    for target in TARGETS:
        for form in FORMS:
            cells = [_cell((target, form, precision), reasons) for precision in PRECISIONS]
            runner = EXECUTED_BY[target] if "yes" in cells else "-"
            rows.append([target, form, *cells, runner])
    lines = [markdown(("target", "form", *PRECISIONS, "executed here by"), rows), ""]
    lines += [f"{number}. Refused: {reason}." for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", NO_STREAM])


def _cell(combination: tuple[str, str, str], reasons: list[str]) -> str:
    if combination not in REFUSED:
        return "yes"
    reason = REFUSED[combination][0]
    if reason not in reasons:
        reasons.append(reason)
    return f"no ({reasons.index(reason) + 1})"


def as_data() -> list[dict]:
    """The combinations as JSON-ready rows; ``refused`` is null or the reason."""
    return [
        {"target": t, "form": f, "precision": p, "refused": refusal(t, f, p)}
        for t in TARGETS
        for f in FORMS
        for p in PRECISIONS
    ]


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = Parser(
        prog="python -m mobile_export.combinations", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    args = parser.parse_args(argv)
    print(json.dumps(as_data(), indent=2) if args.json else table())
    return 0


if __name__ == "__main__":
    run_main(main)
