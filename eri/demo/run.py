"""The whole way on the demo set, through the very functions behind the commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eri import commands
from eri.config import Modality, Runtime, load_config
from eri.demo.generate import generate_demo_set
from eri.evaluation import Evaluation
from eri.extraction import ExtractionReport
from eri.submission import Finding

MODALITIES: tuple[Modality, ...] = ("visual", "audio", "multimodal")
_PROGRESS_EVERY = 20


@dataclass(frozen=True)
class DemoSize:
    """Clips a split.

    Attributes:
        train: Clips that heads are fitted on.
        val: Clips that they are scored on.
        test: Clips to be submitted; four of them are odd on purpose.
    """

    train: int = 264
    val: int = 96
    test: int = 24


@dataclass(frozen=True, eq=False)
class DemoReport:
    """What the demo did.

    Attributes:
        folder: Holds ``data``, ``features``, ``runs`` and ``submissions``.
        pretrained: Whether the backbones had real weights.
        extraction: What was extracted, and which clips are odd.
        scores: On the val split, by modality.
        control: The multimodal system trained on shuffled labels, scored on true ones.
        submission: The prediction file of the multimodal system.
        findings: What the validator found in it.
        seconds: Of each stage, in order.
    """

    folder: Path
    pretrained: bool
    extraction: ExtractionReport
    scores: dict[Modality, Evaluation]
    control: Evaluation
    submission: Path
    findings: list[Finding]
    seconds: dict[str, float]

    @property
    def accepted(self) -> bool:
        """Whether the organisers would accept the file."""
        return not any(finding.severity == "error" for finding in self.findings)


def run_demo(
    folder: Path = Path("demo"),
    *,
    size: DemoSize = DemoSize(),
    seed: int = 0,
    pretrained: bool = False,
    runtime: Runtime = Runtime(workers=2),
    on_event: Callable[[Any], None] | None = None,
) -> DemoReport:
    """Generate clips, extract, train, evaluate, submit and validate.

    What an earlier demo of the same seed and size left in the folder is used again: clips and features are not made
    twice; the heads are trained anew.

    Args:
        folder: Where everything goes.
        size: Clips a split.
        seed: Of the generated clips.
        pretrained: Use the real backbone weights, which are fetched when absent; otherwise they are random, and the
            figures prove the pipeline, not the science.
        runtime: Device, batch size and workers.
        on_event: Called with the events of extraction and training, and with lines of text.

    Raises:
        EriError: The folder holds something else, or weights are absent.
    """
    say = on_event or (lambda event: None)
    clock = _Clock()
    data, features = folder / "data", folder / "features"
    say(f"demo: {size.train + size.val + size.test} clips of a moving face and a voice, in {data}")
    with clock.stage("generate"):
        _generate(data, size, seed, runtime.workers, say)
    say(_about_weights(pretrained))
    systems = {modality: _overrides(modality, pretrained=pretrained) for modality in MODALITIES}
    with clock.stage("extract"):
        extraction = commands.extract(
            data,
            config="demo-multimodal",
            overrides=systems["multimodal"],
            features=features,
            runtime=runtime,
            on_event=on_event,
        )
    scores: dict[Modality, Evaluation] = {}

    def fit(modality: Modality, *more: str) -> Path:
        return commands.train(
            data,
            config=f"demo-{modality}",
            overrides=[*systems[modality], *more],
            features=features,
            runs=folder / "runs",
            overwrite=True,
            runtime=runtime,
            on_event=on_event,
        )

    for modality in MODALITIES:
        with clock.stage(f"train {modality}"):
            run = fit(modality)
            scores[modality] = commands.evaluate(run, runtime=runtime)
    with clock.stage("control"):
        control = commands.evaluate(fit("multimodal", "training.shuffle_labels=true"), runtime=runtime)
    with clock.stage("submit"):
        submission, findings = commands.submit(
            scores["multimodal"].run, submissions=folder / "submissions", overwrite=True, runtime=runtime
        )
    return DemoReport(folder, pretrained, extraction, scores, control, submission, findings, clock.seconds)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def _generate(data: Path, size: DemoSize, seed: int, workers: int, say: Callable[[Any], None]) -> None:
    def progress(done: int, total: int) -> None:
        if done == total or done % _PROGRESS_EVERY == 0:
            say(f"generate: {done}/{total} clips")

    generate_demo_set(
        data, train=size.train, val=size.val, test=size.test, seed=seed, workers=workers, progress=progress
    )


def _about_weights(pretrained: bool) -> str:
    if pretrained:
        return "weights: the backbones have their pretrained weights"
    return "weights: the backbones are random (seeded): this proves the pipeline, not the science (--pretrained)"


def _overrides(modality: Modality, *, pretrained: bool) -> list[str]:
    sections = load_config(f"demo-{modality}").extractors
    return [f"{section}.weights=pretrained" for section in sections] if pretrained else []
