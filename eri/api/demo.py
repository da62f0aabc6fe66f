"""The main job on the demo set, through the same functions as the commands: clips, features, runs, a submission."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eri.api import commands
from eri.config import Modality, Runtime, load_config
from eri.synthetic.generate import ODDITIES, generate_demo_set
from eri.utils.errors import ConfigError

if TYPE_CHECKING:
    from eri.evaluation.evaluate import Evaluation
    from eri.extraction.run import ExtractionReport
    from eri.submission import Finding

SYSTEMS: dict[Modality, str] = {
    "visual": "demo-visual",
    "audio": "demo-audio",
    "multimodal": "demo-multimodal",
}
"""The config of each system; the last one is submitted."""

CLIPS = 360
"""Clips of the whole set: enough that the figures hold whatever the seed, few enough for minutes on two cores."""

_VAL_SHARE, _TEST_SHARE = 0.27, 0.055
_FEWEST = 12


@dataclass(frozen=True)
class GenerationEvent:
    """Progress of making the clips.

    Attributes:
        done: Clips that are there.
        total: Clips wanted.
    """

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class DemoReport:
    """What came of a demo.

    Attributes:
        data: The demo set, in the layout of ABAW5.
        extraction: Counts and failures of the extraction.
        scores: The evaluation on val of each system, by modality.
        control: The same of the multimodal system trained on shuffled labels.
        submission: The file that the multimodal system submits.
        findings: What the validator found in it.
        seconds: Wall time of each stage.
        pretrained: Whether the backbones had their real weights.
    """

    data: Path
    extraction: ExtractionReport
    scores: dict[str, Evaluation]
    control: Evaluation
    submission: Path
    findings: list[Finding]
    seconds: dict[str, float]
    pretrained: bool

    @property
    def accepted(self) -> bool:
        """Whether the organisers would take the submission."""
        return not any(finding.severity == "error" for finding in self.findings)


def run_demo(
    folder: str | Path,
    *,
    clips: int = CLIPS,
    seed: int = 0,
    pretrained: bool = False,
    runtime: Runtime = Runtime(workers=2),
    on_event: Callable[[Any], None] | None = None,
) -> DemoReport:
    """Generate clips, extract, train, evaluate, submit and validate, all inside one folder.

    Clips and features that are there already are kept; runs and the submission are made anew.

    Args:
        folder: Gets ``data``, ``features``, ``runs`` and ``submissions``.
        clips: Size of the whole set, at least 12; about a quarter is val and a twentieth test.
        seed: Of the clips.
        pretrained: Use the real weights of the backbones; random ones prove the pipeline, not the science.
        runtime: Device and workers.
        on_event: Called with the headline of each stage (text), :class:`GenerationEvent`, and the events of
            extraction and training.

    Raises:
        ConfigError: Too few clips.
        DataError: ``folder/data`` holds something else than a demo set.
        WeightsError: Pretrained weights are asked for and cannot be had.
    """
    if clips < _FEWEST:
        raise ConfigError(f"a demo of {clips} clips is too small", hint=f"Ask for at least {_FEWEST}.")
    job = _Job(Path(folder), pretrained, runtime, on_event or (lambda event: None))
    data = job.generate(clips, seed)
    with _one_thread():
        extraction = job.extract()
        runs = {modality: job.train(modality) for modality in SYSTEMS}
        control_run = job.train_control()
        scores = {str(modality): job.evaluate(run) for modality, run in runs.items()}
        control = job.evaluate(control_run)
        submission, findings = job.submit(runs["multimodal"])
    return DemoReport(data, extraction, scores, control, submission, findings, job.seconds, pretrained)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch on one thread.

    Nets this small gain nothing from more, wait long for each other beside the workers on a machine of two cores, and
    would give other figures on another number of cores.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass
class _Job:
    folder: Path
    pretrained: bool
    runtime: Runtime
    tell: Callable[[Any], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def overrides(self, modality: Modality) -> list[str]:
        sections = load_config(SYSTEMS[modality]).extractors
        return [f"{section}.weights=pretrained" for section in sections] if self.pretrained else []

    @contextmanager
    def stage(self, name: str, headline: str | None = None) -> Iterator[None]:
        if headline is not None:
            self.tell(headline)
        started = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started

    def generate(self, clips: int, seed: int) -> Path:
        weights = (
            "their pretrained weights"
            if self.pretrained
            else "random weights: this proves the pipeline, not the science"
        )
        self.tell(f"The backbones have {weights}.")
        if self.pretrained:
            self.fetch_weights()
        val, test = max(2, round(clips * _VAL_SHARE)), max(len(ODDITIES), round(clips * _TEST_SHARE))
        with self.stage("generate", f"Generating {clips} clips in {self.data}"):
            return generate_demo_set(
                self.data,
                train=clips - val - test,
                val=val,
                test=test,
                seed=seed,
                workers=min(self.runtime.workers, clips),
                progress=lambda done, total: self.tell(GenerationEvent(done, total)),
            )

    def fetch_weights(self) -> None:
        """Find or download the weights before anything else is done: without them all other work is in vain."""
        from eri.extraction.extractors.registry import create_extractor

        with self.stage("fetch weights", "Looking for the weights"):
            for config in load_config(SYSTEMS["multimodal"], self.overrides("multimodal")).extractors.values():
                create_extractor(config, self.runtime)

    def extract(self) -> ExtractionReport:
        with self.stage("extract", "Extracting face and sound features"):
            return commands.extract(
                self.data,
                config=SYSTEMS["multimodal"],
                overrides=self.overrides("multimodal"),
                features=self.folder / "features",
                runtime=self.runtime,
                on_event=self.tell,
            )

    def train(self, modality: Modality, *overrides: str, stage: str = "train", headline: str = "Training") -> Path:
        with self.stage(stage, f"{headline}: {SYSTEMS[modality]}"):
            return commands.train(
                self.data,
                config=SYSTEMS[modality],
                overrides=[*self.overrides(modality), *overrides],
                features=self.folder / "features",
                runs=self.folder / "runs",
                overwrite=True,
                runtime=self.runtime,
                on_event=self.tell,
            )

    def train_control(self) -> Path:
        headline = "Training on shuffled labels (control)"
        return self.train("multimodal", "training.shuffle_labels=true", stage="control", headline=headline)

    def evaluate(self, run: Path) -> Evaluation:
        with self.stage("evaluate"):
            return commands.evaluate(run, runtime=self.runtime)

    def submit(self, run: Path) -> tuple[Path, list[Finding]]:
        with self.stage("submit", "Predicting the test split, writing and judging the submission"):
            return commands.submit(run, submissions=self.folder / "submissions", overwrite=True, runtime=self.runtime)
