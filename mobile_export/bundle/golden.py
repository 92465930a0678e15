"""The golden clip: input tensors with the logits that a device has to reproduce."""

from pathlib import Path

import numpy as np

from core.files import file_sha256


def write_golden(folder: Path, arrays: dict[str, np.ndarray]) -> dict:
    """Write ``inputs``, ``pixels`` and ``logits``, each with frames first; returns their entries.

    ``inputs`` are in the memory order of the artifact's input, so that a device copies the bytes.
    ``logits`` of a clip-form artifact has a single row.
    """
    (folder / "golden").mkdir()
    entries = {}
    for part, array in arrays.items():
        short, kind, dtype = (
            ("u8", "u1", "uint8") if array.dtype == np.uint8 else ("f32", "<f4", "float32")
        )
        file = folder / "golden" / f"{part}.{short}"
        data = np.ascontiguousarray(array, dtype=kind)
        file.write_bytes(data.tobytes())
        entries[part] = {
            "file": f"golden/{file.name}",
            "dtype": dtype,
            "shape": list(array.shape),
            "bytes_a_frame": data[0].nbytes,
            "sha256": file_sha256(file),
        }
    return entries
