"""The manifest's types, as ``manifest.schema.json`` pins them; ``docs/bundle.md`` has the meaning.

A test holds the keys here to those of the schema.
"""

from typing import Any, Literal, NotRequired, TypedDict


class File(TypedDict):
    """A file of the bundle, or a folder of them."""

    file: str
    bytes: int
    sha256: str


class Origin(TypedDict):
    """The checkpoint."""

    file: str
    sha256: str


class Model(TypedDict):
    """``core.model.ModelConfig``."""

    backbone: str
    temporal: str
    causal: bool
    num_classes: int
    width: float
    size: int
    frames: int
    frame_rate: float
    mean: list[float]
    std: list[float]
    location: NotRequired[int]
    fold: NotRequired[int]
    shift: NotRequired[str]


class Normalisation(TypedDict):
    """What makes floats of pixels, and where."""

    where: Literal["caller", "in the graph"]
    formula: str
    mean: list[float]
    std: list[float]


class Resize(TypedDict):
    """What makes a picture of the model's size of a camera's."""

    short_side: int
    crop: str
    size: int


class Input(TypedDict):
    """The frame or clip."""

    name: str
    kind: Literal["tensor", "image"]
    shape: list[int]
    dtype: str
    dim_order: list[int]
    axes: str
    colour_order: str
    range: list[float]
    normalisation: Normalisation
    resize: Resize
    frame_rate: float


class Output(TypedDict):
    """One output of the artifact."""

    name: str
    shape: list[int]
    dim_order: list[int]
    dtype: str


class State(TypedDict):
    """A state tensor: the names of its input and output."""

    input: str
    output: str
    shape: list[int]
    dim_order: list[int]
    dtype: str


class Quantization(TypedDict):
    """How int8 was made."""

    method: str
    calibration_clips: int
    training_steps: int


class Chosen(TypedDict):
    """What a rule gave on the recordings that it was chosen on."""

    minutes: float
    gestures: int
    recognised: int
    false_events: int
    false_a_minute: float
    false_a_minute_at_most: float  # 95 of 100 times, by what was seen
    wanted_a_minute: float
    by: str


class Decision(TypedDict):
    """The numbers of the decision rule and of the ticks."""

    window: int
    threshold: float
    agree: int
    release: int
    reset_after_missed: int
    none_labels: list[str]
    chosen: NotRequired[Chosen]  # of a rule that was chosen on one's own recordings


class Array(TypedDict):
    """A file of the golden clip."""

    file: str
    dtype: str
    shape: list[int]
    bytes_a_frame: int
    sha256: str


class GoldenFiles(TypedDict):
    """The parts of the golden clip."""

    inputs: Array
    pixels: Array
    logits: Array


class Golden(TypedDict):
    """The golden clip."""

    frames: int
    computed_by: str
    tolerance: float
    measured_deviation: float | None
    files: GoldenFiles


class Execution(TypedDict):
    """What computed the artifact when it was exported."""

    runner: str
    interpreted: bool  # a reference interpreter did, not the target's runtime


class Accuracy(TypedDict):
    """What the exporter measured."""

    data: str
    clips: int
    broken: int
    checkpoint_top1: float
    artifact_top1: float
    drop: float
    drop_interval: list[float]
    only_checkpoint_right: int
    only_artifact_right: int
    agreement: float
    deviation: float | None
    gate_interval: NotRequired[list[float]]  # not in bundles from before the verdict
    max_drop: float
    verdict: NotRequired[Literal["passed", "failed", "not shown"]]
    failures: NotRequired[list[str]]  # of a rejected bundle


class Manifest(TypedDict):
    """``manifest.json``."""

    schema: int
    name: str
    target: str
    form: str
    precision: str
    model: Model
    labels: list[str]
    classes: NotRequired[dict[str, list[str]]]
    artifact: File
    checkpoint: Origin
    input: Input
    outputs: list[Output]
    state: list[State]
    quantization: Quantization | None
    lowering: dict[str, Any]
    decision: Decision
    golden: Golden
    execution: Execution
    accuracy: Accuracy
    tools: dict[str, str]
