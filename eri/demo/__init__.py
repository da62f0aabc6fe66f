"""The demo set: generated clips with a face and a voice, and the whole way run on them."""

from eri.demo.generate import generate_demo_set
from eri.demo.run import DemoReport, DemoSize, run_demo

__all__ = ["DemoReport", "DemoSize", "generate_demo_set", "run_demo"]
