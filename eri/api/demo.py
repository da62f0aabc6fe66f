"""The demo: generated clips, three systems, a shuffled-label baseline, and a submission that is accepted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from eri.api import commands
from eri.api.choices import FaceSet, Modality, OnEvent, PathLike, documented
from eri.api.progress import counter, reporting
from eri.utils.errors import ConfigError
from eri.utils.tables import Shown, Summary

if TYPE_CHECKING:
    from eri.evaluation.evaluate import Evaluation
    from eri.extraction.report import ExtractionReport
    from eri.submission import Finding

SYSTEMS: Mapping[Modality, str] = {"visual": "demo-visual", "audio": "demo-audio", "multimodal": "demo-multimodal"}
"""The config of each system; the last one is submitted."""

_VAL_SHARE, _TEST_SHARE = 0.27, 0.055
_FEWEST = 12


@dataclass(frozen=True, eq=False, repr=False)
class DemoReport(Shown):
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

    @property
    def exit_code(self) -> int:
        """0 when the submission would be accepted, else 1."""
        return 0 if self.accepted else 1

    def as_table(self) -> Summary:
        """Return the score of each system."""
        named = {**self.scores, "multimodal, shuffled labels (baseline)": self.control}
        rows = [(name, one.metrics.score if one.metrics else None) for name, one in named.items()]
        verdict = f"{self.submission}: {'accepted' if self.accepted else 'refused'}"
        return Summary("Demo", ("system", "mean Pearson on val"), rows, notes=(verdict,))


@documented
def demo(
    folder: Annotated[PathLike, "Folder for clips, features, runs and submission."] = "demo",
    *,
    clips: Annotated[int, "Number of generated clips, at least 12; about a quarter is val and a twentieth test."] = 360,
    seed: Annotated[int, "Seed of the generated clips."] = 0,
    pretrained: bool = False,
    workers: Annotated[int, "Processes that generate and decode; does not change the numbers."] = 2,
    device: str = "auto",
    only: FaceSet | None = None,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> DemoReport | Path:
    """Generate clips and run the whole way on them: extract, train, evaluate, submit, validate.

    Clips and features that exist already are kept; runs and the submission are made again.

    Args:
        pretrained: Use the real weights of the backbones; random ones prove the pipeline, not the science.
        only: Only generate clips of moving faces for video models, and return their manifest; see docs/expressions.md.
        on_event: Called with each progress event, and with the headline of each stage as text.

    Raises:
        ConfigError: Too few clips.
        DataError: ``folder/data`` holds something else than a demo set.
        WeightsError: Pretrained weights are asked for and cannot be found or downloaded.
    """
    if clips < _FEWEST:
        raise ConfigError(f"a demo of {clips} clips is too small", hint=f"Ask for at least {_FEWEST}.")
    with reporting("generating clips" if only else "running the demo", progress, on_event) as report:
        if only is not None:
            from eri.synthetic.expressions import generate_expression_set

            return generate_expression_set(
                Path(folder) / only,
                content="expressions" if only == "expressions" else "directions",
                seed=seed,
                shuffled=only == "shuffled",
                workers=workers,
                progress=counter(report, "generating"),
            )
        return _run(Path(folder), clips, seed, pretrained, workers, device, report)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch on one thread.

    Nets this small gain nothing from more, wait long for each other beside the workers on a machine of two cores, and
    would give other scores on another number of cores.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _run(
    folder: Path, clips: int, seed: int, pretrained: bool, workers: int, device: str, report: OnEvent
) -> DemoReport:
    from eri.config import load_config

    data, seconds = folder / "data", dict[str, float]()
    quiet: dict[str, Any] = {"device": device, "progress": False}

    @contextmanager
    def stage(name: str, headline: str | None = None) -> Iterator[None]:
        if headline is not None:
            report(headline)
        started = time.monotonic()
        yield
        seconds[name] = seconds.get(name, 0.0) + time.monotonic() - started

    def system(modality: Modality, *overrides: str) -> dict[str, Any]:
        sections = load_config(SYSTEMS[modality]).extractors if pretrained else ()
        settings = [*(f"{section}.weights=pretrained" for section in sections), *overrides]
        shared = {"features": folder / "features", "on_event": report, **quiet}
        return {"config": SYSTEMS[modality], "overrides": settings, **shared}

    def train(modality: Modality, *overrides: str) -> Path:
        return commands.train(data, runs=folder / "runs", overwrite=True, **system(modality, *overrides))

    def evaluate(run: Path) -> Evaluation:
        with stage("evaluate"):
            return commands.evaluate(run, **quiet)

    random = "random weights: this proves the pipeline, not the science"
    report(f"The backbones have {'their pretrained weights' if pretrained else random}.")
    if pretrained:
        with stage("fetch weights", "Looking for the weights"):
            _fetch_weights(system("multimodal")["overrides"], device, workers)
    with stage("generate", f"Generating {clips} clips in {data}"):
        _generate(data, clips, seed, workers, report)
    with _one_thread():
        with stage("extract", "Extracting face and audio features"):
            extraction = commands.extract(data, workers=workers, **system("multimodal"))
        runs = {}
        for modality, name in SYSTEMS.items():
            with stage("train", f"Training: {name}"):
                runs[modality] = train(modality)
        with stage("baseline", f"Training on shuffled labels (baseline): {SYSTEMS['multimodal']}"):
            baseline = train("multimodal", "training.shuffle_labels=true")
        scores = {str(modality): evaluate(run) for modality, run in runs.items()}
        control, final = evaluate(baseline), runs["multimodal"]
        with stage("submit", "Predicting the test split, writing and validating the submission"):
            target = folder / "submissions"
            submission, findings = commands.submit(final, submissions=target, overwrite=True, **quiet)
    return DemoReport(data, extraction, scores, control, submission, findings, seconds, pretrained)


def _fetch_weights(overrides: Sequence[str], device: str, workers: int) -> None:
    """Find or download the weights before anything else is done: without them all other work is in vain."""
    from eri.config import Runtime, load_config
    from eri.extraction.extractors.registry import create_extractor

    for config in load_config(SYSTEMS["multimodal"], overrides).extractors.values():
        create_extractor(config, Runtime(device, workers=workers))


def _generate(data: Path, clips: int, seed: int, workers: int, report: OnEvent) -> None:
    from eri.synthetic.generate import ODDITIES, generate_demo_set

    val, test = max(2, round(clips * _VAL_SHARE)), max(len(ODDITIES), round(clips * _TEST_SHARE))
    sizes, done = {"train": clips - val - test, "val": val, "test": test}, counter(report, "generating")
    generate_demo_set(data, **sizes, seed=seed, workers=min(workers, clips), progress=done)
