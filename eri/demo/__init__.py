"""The demo set: generated clips with a face and a voice, and the whole way run on them; generated expressions."""

from eri.demo.expressions import generate_expression_set
from eri.demo.generate import ODDITIES, generate_demo_set
from eri.demo.run import DemoReport, GenerationEvent, run_demo

__all__ = ["ODDITIES", "DemoReport", "GenerationEvent", "generate_demo_set", "generate_expression_set", "run_demo"]
