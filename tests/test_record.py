"""Where a recorded clip goes: a name of its own, in the one folder of its class."""

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from clips import levels, numbers

from core.data.find import every_clip
from core.data.video import read_clip
from mobile_export.live.record import RATE, save_clip

AT_ONCE = 6
SOON = 20.0  # seconds; threads that wait longer for each other have failed


def test_clips_that_are_saved_at_once_are_all_kept(tmp_path):
    together = Barrier(AT_ONCE)

    def save(count: int):
        together.wait(SOON)
        return save_clip(tmp_path, "like", levels(count), RATE)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        paths = list(pool.map(save, range(1, AT_ONCE + 1)))
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "like", *paths])
    for count, path in enumerate(paths, 1):
        assert numbers(read_clip(path, RATE, 32)) == list(range(count))


@pytest.mark.parametrize(("there", "given"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFC", "NFC")])
def test_a_class_has_one_folder_however_its_letters_are_composed(there, given, tmp_path):
    """A folder that was copied from a Mac has its accents apart."""
    folder = tmp_path / unicodedata.normalize(there, "caf\u00e9")
    folder.mkdir()
    path = save_clip(tmp_path, unicodedata.normalize(given, "caf\u00e9"), levels(3), RATE)
    assert path.parent == folder
    assert every_clip(tmp_path) == {"caf\u00e9": [path]}
