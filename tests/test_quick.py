"""A quicker lowering gives the program that the library's own gives, byte for byte."""

import contextlib
import hashlib

import pytest
from short_models import clips_for, make_short

from mobile_export.targets import delegation, quick, xnnpack


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mobilenet_v2", "resnet50", "bn_inception"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_program_is_the_same_to_the_byte(backbone, precision, tmp_path, monkeypatch):
    """BNInception has the maximum that a pass looks for, all have concatenations."""
    model = make_short("action", backbone=backbone, width=0.5 if backbone == "resnet50" else 1.0)
    found, took_part = [], []
    for name in ("quick", "plain"):
        if name == "plain":
            for shortcut in ("needed_passes", "no_types_checked", "code_when_called"):
                monkeypatch.setattr(delegation, shortcut, contextlib.nullcontext)
        (tmp_path / name).mkdir()
        clips = clips_for(model) if precision == "int8" else []
        lowered = xnnpack.lower(
            model, "stream", precision, clips, tmp_path / name, labels=list("abcde")
        )
        found.append(hashlib.sha256(lowered.artifact.read_bytes()).hexdigest())
        took_part.append(lowered.details["delegate_calls"])
    assert found[0] == found[1]
    assert took_part == [1, 1]


def test_passes_are_those_of_the_installed_library():
    """A name that is gone would leave nothing out, and say nothing."""
    from executorch.backends.xnnpack import xnnpack_preprocess
    from executorch.backends.xnnpack._passes import XNNPACKPassManager

    names = {p.__name__ for p in XNNPACKPassManager(None).passes}
    assert set(quick.LOOK_FOR) <= names
    assert xnnpack_preprocess.XNNPACKPassManager is XNNPACKPassManager  # put back
