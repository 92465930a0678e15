"""Memory that training on a CPU keeps instead of giving it back to the system after every layer."""

import ctypes
import sys

# Numbers of glibc's mallopt(3), <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD = 256 << 20  # bytes asked for at once, beyond what is needed


def keep_freed() -> bool:
    """Let glibc serve large tensors from memory that was freed before; whether it was told.

    By default every map of a layer is mapped, filled with zeros page by page and unmapped again.
    A step of 8 clips of 80 pixels took 0.81 to 0.87 s on one core so, and 0.61 to 0.63 s kept
    (causal ACTION MobileNet V2, bf16, AMD EPYC with AVX-512). Only on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none
        return False
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: TOP_PAD}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
