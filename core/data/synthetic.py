"""The command ``python -m core.data.synthetic``."""

from core.data.rendered.synthetic import main
from core.errors import run_main

if __name__ == "__main__":
    run_main(main)
