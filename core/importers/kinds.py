"""What a state dict is, recognised from its keys.

The kinds, by what is public about them: ACTION-Net (github.com/V-Sense/ACTION-Net) and TSM
(github.com/mit-han-lab/temporal-shift-module), which share TSN's wrapper (``base_model`` and, with
dropout, ``new_fc``), TSM's online MobileNet V2, mmaction2's TSM under other names (``mmaction``),
and torchvision's ResNet-50 and MobileNet V2.
"""

from dataclasses import dataclass

from torch import Tensor

from core.errors import BadInput

IMAGENET_CLASSES = 1000
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std that all but one use
WRAPPED = "base_model."

FIRST = {  # a key that only one backbone has, bare or inside the wrapper of a slot
    "resnet50": ("layer1.0.conv1.weight", "layer1.0.conv1.net.weight"),
    "mobilenet_v2": ("features.1.conv.0.weight", "features.1.conv.0.0.weight"),
    "bn_inception": ("conv1_7x7_s2.weight",),
}


Colours = tuple[float, float, float]  # a number for each of the channels


@dataclass(frozen=True)
class Kind:
    """What was recognised: who wrote it, and the settings of the model that it makes.

    ``classifier`` is the name of its last layer, ``bgr255`` tells of input in BGR from 0 to 255.
    ``images`` tells of a model of single pictures, which says nothing about time.
    """

    name: str
    backbone: str
    temporal: str
    causal: bool
    classifier: str
    mean: Colours
    std: Colours
    bgr255: bool = False
    images: bool = False


def recognise(tensors: dict[str, Tensor], temporal: str | None = None) -> Kind:
    """The kind of a state dict.

    ``temporal`` (none or shift) decides where keys cannot: a shift without weights leaves no trace
    in TSM's BNInception or in its online MobileNet V2, whose keys are those of the image model; an
    image model is then told by its 1000 classes. Raises ``BadInput`` for keys of another program.
    """
    wrapped = any(key.startswith(WRAPPED) for key in tensors)
    bare = {key.removeprefix(WRAPPED) for key in tensors}
    found = [name for name, keys in FIRST.items() if any(key in bare for key in keys)]
    if len(found) != 1:
        some = ", ".join(sorted(tensors)[:3])
        raise BadInput(
            f"keys such as {some} are of no model that can be imported: ResNet-50, MobileNet V2 or "
            "BNInception of ACTION-Net, TSM, mmaction2 or torchvision"
        )
    (backbone,) = found
    classifier = _classifier(tensors, backbone, wrapped)
    if wrapped:
        return _video(tensors, backbone, classifier, temporal)
    if backbone == "bn_inception":
        raise BadInput("a BNInception without base_model. in front is not of TSM or ACTION-Net")
    online = backbone == "mobilenet_v2" and "features.1.conv.0.weight" in tensors
    if not online:
        no_choice(temporal, "torchvision's image model")
        name = f"torchvision {backbone}"
        return Kind(name, backbone, "none", True, classifier, *IMAGENET, images=True)
    weight = tensors[f"{classifier}.weight"]
    image = weight.ndim == 2 and len(weight) == IMAGENET_CLASSES
    temporal = temporal or ("none" if image else "shift")
    name = "MobileNet V2 for images" if temporal == "none" else "TSM online mobilenet_v2"
    return Kind(name, backbone, temporal, True, classifier, *IMAGENET, images=temporal == "none")


def _video(
    tensors: dict[str, Tensor], backbone: str, classifier: str, temporal: str | None
) -> Kind:
    if any(".action_shift." in key for key in tensors):
        no_choice(temporal, "ACTION-Net")
        mean, std = IMAGENET
        bgr = backbone == "bn_inception"
        # Its BNInception is fed BGR from 0 to 255, normalised by the statistics of RGB from 0 to 1.
        if bgr:
            mean, std = _of_rgb(mean), _of_rgb(std)
        name = f"ACTION-Net {backbone}"
        return Kind(name, backbone, "action", False, classifier, mean, std, bgr)
    if backbone == "bn_inception":
        if temporal is None:
            raise BadInput(
                "TSM's BNInception has the same keys with and without the shift: say which, "
                "--temporal shift or --temporal none"
            )
        mean, std = _of_rgb((104.0, 117.0, 128.0)), _of_rgb((1.0, 1.0, 1.0))
        return Kind(f"TSM {backbone}", backbone, temporal, False, classifier, mean, std, True)
    shifted = any(".net." in key for key in tensors)
    no_choice(temporal, "TSM")
    kind, program = ("shift", "TSM") if shifted else ("none", "TSN")
    return Kind(f"{program} {backbone}", backbone, kind, False, classifier, *IMAGENET)


def _of_rgb(bgr255: Colours) -> Colours:
    """Statistics of BGR pixels from 0 to 255 as those of RGB from 0 to 1."""
    blue, green, red = (value / 255 for value in bgr255)
    return red, green, blue


def no_choice(temporal: str | None, what: str) -> None:
    """Raises ``BadInput`` where a choice was given that the keys have made already."""
    if temporal is not None:
        raise BadInput(f"--temporal {temporal}: the keys of {what} say it, leave it out")


def _classifier(tensors: dict[str, Tensor], backbone: str, wrapped: bool) -> str:
    last = "classifier" if backbone == "mobilenet_v2" else "fc"
    # With dropout, TSN's wrapper has a layer of its own in the place of the backbone's.
    choices = ["new_fc", f"{WRAPPED}{last}"] if wrapped else [last, f"{last}.1"]
    found = [name for name in choices if f"{name}.weight" in tensors]
    if len(found) != 1:
        raise BadInput(
            f"there are {len(found)} classifiers ({' and '.join(choices)} are possible): the file "
            "is not whole"
        )
    return found[0]
