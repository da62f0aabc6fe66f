"""Training: packed features, standardisation, the loop and its checkpoints."""

from eri.training.events import Listener, TrainingEvent
from eri.training.experiment import train
from eri.training.run_folder import Run, read_run

__all__ = ["Listener", "Run", "TrainingEvent", "read_run", "train"]
