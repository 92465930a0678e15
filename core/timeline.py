"""The command ``python -m core.timeline``."""

from core.errors import run_main
from core.evaluation.timeline import main

if __name__ == "__main__":
    run_main(main)
