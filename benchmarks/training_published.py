"""ACTION as it was published, to train beside core's: 5-D maps, one gated product a path.

What a reader of the paper writes down, and how the authors' public code goes about it: clip-major
rows, a learned shift as Conv1d over every pixel's series, STE as Conv3d over a volume of means, CE
as Conv1d over pooled vectors, ME's difference maps at full size, padded and then pooled, and three
products ``s * gate + s`` that are summed. The fixed shift is that of TSM's code, three copies of
slices into zeros. Written from the formulas; bidirectional alone.

Sources: ACTION-Net, arXiv 2103.07372, section 3; TSM, arXiv 1811.08383, section 4.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones.slots import Trunk
from core.model import VideoClassifier
from core.shift import SHIFT_DIVISOR, LearnedShift
from core.temporal import Action


class PublishedAction(nn.Module):
    """The module with the numbers of one of core's; rows are clip-major, ``n * T + t``."""

    def __init__(self, module: Action) -> None:
        super().__init__()
        channels, r = module.channels, module.ce.squeezed
        self.fold = channels // SHIFT_DIVISOR
        self.taps = None
        if isinstance(module.shift, LearnedShift):
            self.taps = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.ste = nn.Conv3d(1, 1, 3, padding=1, bias=False)
        self.ce_squeeze = nn.Conv2d(channels, r, 1, bias=False)
        self.ce = nn.Conv1d(r, r, 3, padding=1, bias=False)
        self.ce_expand = nn.Conv2d(r, channels, 1, bias=False)
        self.me_squeeze = nn.Conv2d(channels, r, 1, bias=False)
        self.norm = nn.BatchNorm2d(r)
        self.me = nn.Conv2d(r, r, 3, padding=1, groups=r, bias=False)
        self.me_expand = nn.Conv2d(r, channels, 1, bias=False)
        self.to(module.ste.conv.weight.dtype)
        self.load(module)

    @torch.no_grad()
    def load(self, module: Action) -> None:
        """Take over the numbers of ``module``."""
        if self.taps is not None:
            self.taps.weight.copy_(module.shift.matrix().T[:, None])  # (3, C) -> (C, 1, 3)
        self.ste.weight.copy_(module.ste.conv.weight[None])
        kernel = module.ce.conv.weight[:, :, 0, 0].unflatten(1, (3, -1))  # (r, 3, r)
        self.ce.weight.copy_(kernel.transpose(1, 2))
        for own, other in (
            (self.ce_squeeze, module.ce.squeeze), (self.ce_expand, module.ce.expand),
            (self.me_squeeze, module.me.squeeze), (self.norm, module.me.norm),
            (self.me, module.me.conv), (self.me_expand, module.me.expand),
        ):  # fmt: skip
            own.load_state_dict(other.state_dict())

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(N * frames, C, H, W) to the same shape."""
        s = self._learned(x, frames) if self.taps is not None else self._fixed(x, frames)
        paths = (self._ste(s, frames), self._ce(s, frames), self._me(s, frames))
        first, second, third = (s * torch.sigmoid(gate) + s for gate in paths)
        return first + second + third

    def _learned(self, x: Tensor, frames: int) -> Tensor:
        clips, (channels, height, width) = len(x) // frames, x.shape[1:]
        series = x.reshape(clips, frames, channels, height, width).permute(0, 3, 4, 2, 1)
        moved = self.taps(series.reshape(-1, channels, frames))  # a series a pixel
        moved = moved.reshape(clips, height, width, channels, frames).permute(0, 4, 3, 1, 2)
        return moved.reshape(x.shape)

    def _fixed(self, x: Tensor, frames: int) -> Tensor:
        clips = x.reshape(-1, frames, *x.shape[1:])
        moved, fold = torch.zeros_like(clips), self.fold
        moved[:, :-1, :fold] = clips[:, 1:, :fold]
        moved[:, 1:, fold : 2 * fold] = clips[:, :-1, fold : 2 * fold]
        moved[:, :, 2 * fold :] = clips[:, :, 2 * fold :]
        return moved.reshape(x.shape)

    def _ste(self, s: Tensor, frames: int) -> Tensor:
        volume = s.reshape(-1, frames, *s.shape[1:]).transpose(1, 2)  # (N, C, T, H, W)
        gate = self.ste(volume.mean(1, keepdim=True))
        return gate.transpose(1, 2).reshape(len(s), 1, *s.shape[2:])

    def _ce(self, s: Tensor, frames: int) -> Tensor:
        vectors = self.ce_squeeze(F.adaptive_avg_pool2d(s, 1))
        series = vectors.reshape(-1, frames, vectors.shape[1]).transpose(1, 2)  # (N, r, T)
        hidden = F.relu(self.ce(series)).transpose(1, 2).reshape(vectors.shape)
        return self.ce_expand(hidden)

    def _me(self, s: Tensor, frames: int) -> Tensor:
        z = self.norm(self.me_squeeze(s))
        now = z.reshape(-1, frames, *z.shape[1:])[:, :-1]
        then = self.me(z).reshape(-1, frames, *z.shape[1:])[:, 1:]
        motion = F.pad(then - now, (0, 0, 0, 0, 0, 0, 0, 1)).reshape(z.shape)  # the last: zeros
        return self.me_expand(F.adaptive_avg_pool2d(motion, 1))


class ClipMajor(nn.Module):
    """A trunk whose slots get clip-major rows, in a loop that stacks frames time-major."""

    def __init__(self, trunk: Trunk, layout: torch.memory_format) -> None:
        super().__init__()
        self.trunk, self.layout = trunk, layout

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(frames * N, 3, H, W) to features in the same order of rows."""
        rows = torch.arange(len(x), device=x.device).view(frames, -1).T.flatten()
        features = self.trunk(x[rows].contiguous(memory_format=self.layout), frames)
        return features.unflatten(0, (-1, frames)).transpose(0, 1).flatten(0, 1)


def use_published(
    model: VideoClassifier, layout: torch.memory_format = torch.channels_last
) -> VideoClassifier:
    """``model`` with the published module in its slots and the same numbers, in place.

    ``layout`` is that of the maps that enter.
    """
    size = model.config.size
    for _, holder, _ in list(model.backbone.slots(size, size)):
        holder.temporal = PublishedAction(holder.temporal)
    model.backbone = ClipMajor(model.backbone, layout)
    return model
