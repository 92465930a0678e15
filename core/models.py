"""The command ``python -m core.models``."""

from core.errors import run_main
from core.evaluation.complexity import main

if __name__ == "__main__":
    run_main(main)
