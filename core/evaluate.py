"""The command ``python -m core.evaluate``."""

from core.errors import run_main
from core.evaluation.report import main

if __name__ == "__main__":
    run_main(main)
