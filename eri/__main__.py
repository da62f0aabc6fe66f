"""Runs the command line: ``python -m eri`` is ``eri``."""

from eri.cli.app import main

if __name__ == "__main__":
    main()
