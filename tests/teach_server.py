"""The page's server with a model of colours, whose jobs have a target that takes no time to lower.

Run as a process, as the command line's: ``teach_server.py ROOT BASE``; its jobs are processes too.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_target import install
from serving import TOKEN, Colours, make_bundle

from core.errors import run_main
from mobile_export.live.server.lesson import Lesson
from mobile_export.live.server.serve import _serve, listen
from mobile_export.live.server.stream import Desk
from mobile_export.teach.__main__ import main as teach


def serve(root: Path, base: Path) -> int:
    """Until Ctrl-C, with the address printed."""
    job = (sys.executable, __file__, "--job")
    with listen(0) as listening, ThreadPoolExecutor(1) as worker:
        lesson = Lesson(root, base, program=job)
        desk = Desk(make_bundle(), Colours(), worker, root, TOKEN, lesson=lesson)
        try:
            asyncio.run(_serve(desk, listening))
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    install(pytest.MonkeyPatch())
    if sys.argv[1] == "--job":
        run_main(lambda: teach(sys.argv[2:]))
    run_main(lambda: serve(*map(Path, sys.argv[1:])))
