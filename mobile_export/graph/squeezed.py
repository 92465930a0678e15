"""ACTION for Core ML: its squeezes read the map once (R1, R2, R11); all else is the reference's.

What ``graph.fused`` does beyond that suits a CPU: columns as channels (R3) would transpose two maps
a slot and frame, and one layer for the vectors of CE and ME (R6) convolves transposed. A Neural
Engine convolves widely and pays for what moves memory: ``docs/coreml.md`` counts both.

Source of the formulas: ACTION-Net, arXiv 2103.07372, section 3; ``core.temporal`` is the reference.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model import VideoClassifier
from core.temporal import Action, Shape, State, TemporalModule, difference
from mobile_export.graph.fused import coverage, window_of, with_actions


class SqueezedAction(TemporalModule):
    """ACTION on maps ``(C, height, width)`` of one size; made from ``Action`` without batch norm.

    State as ``Action``'s: the shift's, "ste" ``(2, H, W)``, "ce" ``(2 * r, 1, 1)``, "me"
    ``(r, 1, 1)``.
    """

    def __init__(self, action: Action, height: int, width: int) -> None:
        super().__init__(action.channels, action.causal)
        self.shift, self.r = action.shift, action.me.squeezed
        self.spatial, self.window = action.ste.conv, action.ce.conv
        self.expand_ce, self.expand_me = action.ce.expand, action.me.expand
        ce, me = action.ce.squeeze.weight.detach(), action.me.squeeze.weight.detach()
        weight = torch.cat([action.ste.mean_weight, ce, me])
        self.squeeze = nn.Conv2d(self.channels, len(weight), 1)  # R1, R11
        bias = action.me.squeeze.bias
        assert bias is not None, "batch norm was folded into it"
        with torch.no_grad():
            self.squeeze.weight.copy_(weight)
            self.squeeze.bias.copy_(F.pad(bias, (1 + self.r, 0)))
        cover = coverage(action.me.conv.weight.detach(), height, width)  # R2
        self.register_buffer("cover", cover)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        s = self.shift(x, frames)
        mean, vector, pooled, filtered = self._squeezed(s)
        means, window = (window_of(kept, frames, self.causal, dim=1) for kept in (mean, vector))
        return self._excite(s, means, window, difference(filtered, pooled, frames, self.causal))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        *shifted, means, vectors, past = state
        s, shifted = self.shift.step(x, shifted)
        mean, vector, pooled, filtered = self._squeezed(s)
        means = torch.cat([means, mean], dim=1)
        window = torch.cat([vectors, vector], dim=1)
        y = self._excite(s, means, window, filtered - past)
        return y, [*shifted, means[:, 1:], window[:, self.r :], pooled]

    def _squeezed(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """STE's mean (rows, 1, H, W); pooled: CE's vector, ME's, ME's filtered (rows, r, 1, 1)."""
        mean, vector, motion = torch.split(self.squeeze(s), [1, self.r, self.r], dim=1)
        vector, pooled, filtered = (
            F.adaptive_avg_pool2d(z, 1) for z in (vector, motion, motion * self.cover)
        )
        return mean, vector, pooled, filtered

    def _excite(self, s: Tensor, means: Tensor, window: Tensor, motion: Tensor) -> Tensor:
        ste = torch.sigmoid(self.spatial(means))
        ce = torch.sigmoid(self.expand_ce(F.relu(self.window(window))))
        me = torch.sigmoid(self.expand_me(motion))
        return s * (ste + (ce + me + 3.0))

    def state_shapes(self, height: int, width: int) -> dict[str, Shape]:
        own = {"ste": (2, height, width), "ce": (2 * self.r, 1, 1), "me": (self.r, 1, 1)}
        return self.shift.state_shapes(height, width) | own


def squeezed(model: VideoClassifier) -> VideoClassifier:
    """A copy of ``model``, whose batch norm has been folded, that squeezes each map once."""
    return with_actions(model, SqueezedAction)
