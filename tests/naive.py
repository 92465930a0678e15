"""The temporal modules word by word from the papers' formulas: slow, 5-D, and the reference.

Nothing here is shared with ``core.temporal``. Feature maps are ``(N, T, C, H, W)``, STE is a real
3x3x3 convolution, CE a real 1-D convolution over time, ME builds its difference maps at full
resolution before it pools them, every path is ``s * gate + s`` with its own product, and missing
frames are zeros written out. The weights come from a ``state_dict`` of ``core.temporal``.

Sources: TSM, arXiv 1811.08383, section 4; ACTION-Net, arXiv 2103.07372, section 3, equations of
STE, CE and ME. Causal forms: the same formulas with taps at (t-2, t-1, t) for STE and CE and
``m[t] = K*z[t] - z[t-1]`` for ME.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-5  # torch's default of batch norm

Weights = dict[str, Tensor]


def shift(x: Tensor, causal: bool) -> Tensor:
    """(N, T, C, H, W) -> the same shape."""
    fold = x.shape[2] // 8
    y = torch.zeros_like(x)
    frames = x.shape[1]
    for t in range(frames):
        if causal:
            if t > 0:
                y[:, t, :fold] = x[:, t - 1, :fold]
            y[:, t, fold:] = x[:, t, fold:]
            continue
        if t + 1 < frames:
            y[:, t, :fold] = x[:, t + 1, :fold]
        if t > 0:
            y[:, t, fold : 2 * fold] = x[:, t - 1, fold : 2 * fold]
        y[:, t, 2 * fold :] = x[:, t, 2 * fold :]
    return y


def learned_shift(x: Tensor, taps: Tensor, causal: bool) -> Tensor:
    """``taps`` (3, C), oldest first: of frames (t-1, t, t+1), causal (t-2, t-1, t)."""
    frames, offsets = x.shape[1], (-2, -1, 0) if causal else (-1, 0, 1)
    y = torch.zeros_like(x)
    for t in range(frames):
        for tap, offset in zip(taps, offsets, strict=True):
            if 0 <= t + offset < frames:
                y[:, t] = y[:, t] + tap.view(-1, 1, 1) * x[:, t + offset]
    return y


def shifted(x: Tensor, weights: Weights, causal: bool) -> Tensor:
    """By the taps of the weights, or by the fixed shift where there are none."""
    taps = [weights[k].flatten() for k in weights if k.startswith(("taps.", "shift.taps."))]
    return learned_shift(x, torch.stack(taps), causal) if taps else shift(x, causal)


def ste_gate(s: Tensor, weights: Weights, causal: bool) -> Tensor:
    """(N, T, C, H, W) -> (N, T, 1, H, W)."""
    kernel = weights["conv.weight"].reshape(1, 1, 3, 3, 3)  # (out, in, time, height, width)
    volume = s.mean(2, keepdim=True).transpose(1, 2)  # (N, 1, T, H, W)
    missing = torch.zeros_like(volume[:, :, :1])
    before, after = (2, 0) if causal else (1, 1)
    volume = torch.cat([missing] * before + [volume] + [missing] * after, dim=2)
    return torch.sigmoid(F.conv3d(volume, kernel, padding=(0, 1, 1))).transpose(1, 2)


def ce_gate(s: Tensor, weights: Weights, causal: bool) -> Tensor:
    """(N, T, C, H, W) -> (N, T, C, 1, 1)."""
    squeeze = weights["squeeze.weight"][:, :, 0, 0]  # (r, C)
    expand = weights["expand.weight"][:, :, 0, 0]  # (C, r)
    stacked = weights["conv.weight"]  # (r, 3 * r, 1, 1), oldest tap first
    r = squeeze.shape[0]
    kernel = torch.stack([stacked[:, k * r : (k + 1) * r, 0, 0] for k in range(3)], dim=2)
    vectors = s.mean((3, 4)) @ squeeze.T  # (N, T, r)
    missing = torch.zeros_like(vectors[:, :1])
    before, after = (2, 0) if causal else (1, 1)
    series = torch.cat([missing] * before + [vectors] + [missing] * after, dim=1)
    hidden = F.relu(F.conv1d(series.transpose(1, 2), kernel)).transpose(1, 2)  # (N, T, r)
    return torch.sigmoid(hidden @ expand.T)[..., None, None]


def me_gate(s: Tensor, weights: Weights, causal: bool, train: bool) -> Tensor:
    """(N, T, C, H, W) -> (N, T, C, 1, 1); ``train``: batch norm by the batch's statistics."""
    n, frames, _, height, width = s.shape
    z = torch.einsum("ntchw,rc->ntrhw", s, weights["squeeze.weight"][:, :, 0, 0])
    z = batch_norm(z, weights, train)
    r = z.shape[2]
    flat = F.conv2d(
        z.reshape(n * frames, r, height, width), weights["conv.weight"], None, 1, 1, 1, r
    )
    filtered = flat.reshape(n, frames, r, height, width)  # K*z
    zeros = torch.zeros_like(z[:, 0])
    motion = []
    for t in range(frames):
        if causal:
            motion.append(filtered[:, t] - (z[:, t - 1] if t > 0 else zeros))
        else:
            motion.append(filtered[:, t + 1] - z[:, t] if t + 1 < frames else zeros)
    pooled = torch.stack(motion, dim=1).mean((3, 4))  # (N, T, r)
    return torch.sigmoid(pooled @ weights["expand.weight"][:, :, 0, 0].T)[..., None, None]


def batch_norm(z: Tensor, weights: Weights, train: bool) -> Tensor:
    """Over (N, T, H, W) of ``(N, T, r, H, W)``."""
    if train:
        mean, var = z.mean((0, 1, 3, 4)), z.var((0, 1, 3, 4), unbiased=False)
    else:
        mean, var = weights["norm.running_mean"], weights["norm.running_var"]
    scale, bias = weights["norm.weight"], weights["norm.bias"]

    def per_channel(v: Tensor) -> Tensor:
        return v[None, None, :, None, None]

    normed = (z - per_channel(mean)) / torch.sqrt(per_channel(var) + EPS)
    return normed * per_channel(scale) + per_channel(bias)


def excite(kind: str, x: Tensor, weights: Weights, causal: bool, train: bool = False) -> Tensor:
    """Any temporal kind: (N, T, C, H, W) -> the same shape."""
    if kind == "none":
        return x
    s = shifted(x, weights, causal)
    if kind == "shift":
        return s
    if kind == "action":
        return sum(
            gated(path, s, inner(weights, path), causal, train) for path in ("ste", "ce", "me")
        )
    return gated(kind, s, weights, causal, train)


def gated(path: str, s: Tensor, weights: Weights, causal: bool, train: bool) -> Tensor:
    """One path: s * gate + s."""
    if path == "ste":
        gate = ste_gate(s, weights, causal)
    elif path == "ce":
        gate = ce_gate(s, weights, causal)
    else:
        gate = me_gate(s, weights, causal, train)
    return s * gate + s


def inner(weights: Weights, prefix: str) -> Weights:
    """The entries under ``prefix.``, without it."""
    start = prefix + "."
    return {key.removeprefix(start): v for key, v in weights.items() if key.startswith(start)}
