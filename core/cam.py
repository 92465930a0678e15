"""The command ``python -m core.cam``."""

from core.errors import run_main
from core.evaluation.cam import main

if __name__ == "__main__":
    run_main(main)
