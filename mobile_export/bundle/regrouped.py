"""A bundle with other classes than its artifact's, for running it here: see ``core.classes``.

An app reads bundles and regroups nothing: for one ``mobile_export --classes`` makes a bundle whose
artifact gives the new classes itself.
"""

from dataclasses import replace
from typing import TypeVar

from core.classes import ClassMap
from core.decision import idle_labels
from core.regroup import Merge
from mobile_export.bundle.reader import Bundle
from mobile_export.bundle.typed import Manifest

Kind = TypeVar("Kind", bound=Bundle)


def with_classes(bundle: Kind, classes: ClassMap | None) -> Kind:
    """The bundle with other labels and what makes their logits of the artifact's.

    Without a map as it is. Raises ``BadInput`` where the map does not fit its labels.
    """
    if classes is None:
        return bundle
    manifest = bundle.manifest
    known = classes.over(manifest["labels"])
    before = manifest["decision"]["none_labels"]
    info = {"settings": {"none": known.idle(before)}}
    decision = {**manifest["decision"], "none_labels": idle_labels(known.labels, info)}
    decision.pop("chosen", None)  # what the rule gave was counted with the other classes
    changed: Manifest = {**manifest, "labels": known.labels, "decision": decision}  # type: ignore[typeddict-item]  # of the same keys
    head = Merge(known.numbers(manifest["labels"]), len(known.labels)).eval()
    return replace(bundle, manifest=changed, head=head)
