"""eri: from a folder of clips to a reaction-intensity challenge submission that the organisers accept."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("eri")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
