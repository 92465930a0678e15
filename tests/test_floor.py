"""The program of benchmarks/floor.py, lowered and executed."""

import floor
import pytest
import torch
from short_models import clips_for, make_short

from mobile_export.graph.forms import input_ports
from mobile_export.runtime.executorch import open_pte
from mobile_export.targets import xnnpack


@pytest.mark.slow
def test_only_the_shift_remembers(tmp_path):
    model = floor.without_memory(make_short())
    lowered = xnnpack.lower(model, "stream", "int8", clips_for(model), tmp_path, labels=list("ab"))
    assert (lowered.details["delegate_calls"], lowered.details["operators_outside"]) == (1, {})
    ports = input_ports(model, "stream", "xnnpack")
    assert all("shift" in port.name for port in ports[1:])
    runner = open_pte(lowered.artifact, ports)
    states = [port.zeros() for port in ports[1:]]
    frames = clips_for(model, seed=1)[0][:2]
    logits, *after = runner([frames[:1], *states])
    assert logits.isfinite().all()
    # The map that is squeezed gates itself: another frame or another past gives other answers.
    assert not torch.equal(logits, runner([frames[1:], *states])[0])
    assert not torch.equal(logits, runner([frames[:1], *after])[0])
