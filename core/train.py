"""The command ``python -m core.train``."""

from core.errors import run_main
from core.training.loop import main

if __name__ == "__main__":
    run_main(main)
