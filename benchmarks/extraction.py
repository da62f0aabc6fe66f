"""Frames to ResNet features: the whole pipeline against the usual script, and its backbone against a bare loop.

The script reads all frames with OpenCV, looks for the face in each sampled frame, and runs torchvision's network in
float32 on one picture at a time. It is timed twice: with the detector on whole frames, as it is usually written, and on
frames scaled to the size that the pipeline uses. The bare loop runs the network that ``torch.compile`` makes, frozen
and in bf16, over pictures in memory.

What the processor allows at all: the bare loop for all pictures, which keeps every core busy, and then what decoding
and finding faces take of one core, spread over all cores without a gap.

Weights are random, but their normalisations fit the pictures, so that embeddings of different pictures differ, and the
branches of residual blocks are damped as training damps them: undamped, fifty random layers enlarge any rounding, with
PyTorch's own half precision as well (cosine 0.993).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity
from torchvision.models.resnet import BasicBlock, Bottleneck

from benchmarks.harness import Bar, Row, alternate, seconds_of
from eri.config import FaceConfig, ImageConfig, Runtime
from eri.config.tasks import ERI
from eri.data.clips import Clip, ClipTable
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.report import ExtractionReport
from eri.extraction.run import extract
from eri.features.records import Extractor
from eri.synthetic.clip_files import write_video
from eri.synthetic.stage import Stage
from eri.synthetic.subjects import create_subject, move, perform

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MARGIN = 0.2
DAMPING = 0.25


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        network: Name of the backbone, here and in torchvision.
        side: Of the crops, in pixels.
        clips: Number of clips.
        seconds: Length of a clip.
        rate: Pictures a second.
        width: Of the pictures.
        height: Of the pictures.
        frames: Sampled frames of a clip.
        rounds: How often each side is timed.
    """

    network: str = "resnet50"
    side: int = 224
    clips: int = 16
    seconds: float = 6.0
    rate: int = 30
    width: int = 960
    height: int = 720
    frames: int = 32
    rounds: int = 3

    def config(
        self,
        faces: FaceConfig | None = None,
        weights: str = "random",
        precision: Literal["float32", "bf16"] = "float32",
    ) -> ImageConfig:
        """Return the extractor; without ``faces`` none are looked for."""
        return ImageConfig(
            extractor=self.network,
            weights=weights,
            frames=self.frames,
            input_size=self.side,
            precision=precision,
            faces=faces or FaceConfig(detector="none"),
        )


QUICK = Scale("resnet18", 64, clips=2, seconds=1.0, rate=10, width=320, height=240, frames=4, rounds=1)


def run(quick: bool) -> list[Row]:
    """Measure the pipeline, its backbone, and how near its features are to float32 one by one."""
    scale = QUICK if quick else Scale()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        table = make_clips(root, scale)
        bench = Bench(root, table, scale)
        pipeline = bench.pipeline()
        backbone = bench.backbone(compiled=not quick)
        return [
            *pipeline,
            backbone,
            bench.limit(pipeline[0].median, backbone),
            bench.accuracy("bf16"),
            bench.accuracy("float32"),
        ]


def make_clips(root: Path, scale: Scale) -> ClipTable:
    """Record people who sit in front of a camera."""
    clips = []
    for number in range(scale.clips):
        random = np.random.default_rng(number)
        subject = create_subject(0, number)
        times = np.arange(int(scale.seconds * scale.rate)) / scale.rate
        motion = move(perform(random, subject.expressiveness, scale.seconds), times)
        stage = Stage(subject.look, random)
        size = (scale.width, scale.height)
        pictures = (
            cv2.resize(stage.draw(motion, index), size, interpolation=cv2.INTER_CUBIC) for index in range(len(times))
        )
        write_video(root / f"{number:03d}.mp4", pictures, times, None)
        clips.append(Clip(f"{number:03d}", "train", video=root / f"{number:03d}.mp4", labels=(0.5,) * len(ERI.labels)))
    return ClipTable("benchmark", root, ERI, tuple(clips))


class Bench:
    """The clips, the network in both forms, and what is measured of them.

    Args:
        root: A folder for weights and features.
        table: The clips.
        scale: How much is measured.
    """

    def __init__(self, root: Path, table: ClipTable, scale: Scale) -> None:
        self._root, self._table, self._scale = root, table, scale
        self._faces = FaceConfig(margin=MARGIN)
        self._weights = root / "weights.pth"
        seen = [script_crops(clip.video, scale, self._faces.detection_size)[:2] for clip in table.clips[:4]]
        self._network = calibrated_network(scale, np.concatenate(seen))
        torch.save(
            self._network.state_dict() | {"fc.weight": torch.zeros(1000, 1), "fc.bias": torch.zeros(1000)},
            self._weights,
        )
        self._runs = 0

    def _extractor(self, precision: Literal["float32", "bf16"]) -> Extractor:
        return create_extractor(self._config(precision), Runtime(device="cpu"))

    def _config(self, precision: Literal["float32", "bf16"]) -> ImageConfig:
        return self._scale.config(self._faces, str(self._weights), precision)

    def pipeline(self) -> list[Row]:
        """Time the whole way from files to feature files against the script; loading the network counts for neither."""
        extractor = self._extractor("bf16")
        reports: list[ExtractionReport] = []
        seconds: dict[str, list[float]] = {"ours": [], "whole": [], "scaled": []}
        whole = max(self._scale.width, self._scale.height)
        for _ in range(self._scale.rounds):
            seconds["ours"].append(seconds_of(lambda: reports.append(self._extract(extractor))))
            seconds["whole"].append(seconds_of(lambda: self._script(whole)))
            seconds["scaled"].append(seconds_of(lambda: self._script(self._faces.detection_size)))
        ours, script, scaled = (tuple(seconds[side]) for side in ("ours", "whole", "scaled"))
        # One more, since its stages stand in the note.
        stages = reports[-1].extractors[0].stages
        note = f"{self._pictures} frames, start of the workers included"
        note += f"; busy: {stages}" if stages is not None else ""
        name = f"frames to {self._scale.network} features, whole pipeline in bf16, against the usual script"
        return [
            Row(name, ours, script, "s", Bar("at_least", 4.0), note),
            Row(f"{name}, its detector on frames as small as ours", ours, scaled, "s"),
        ]

    @property
    def _pictures(self) -> int:
        return self._scale.clips * self._scale.frames

    def limit(self, seconds: float, backbone: Row) -> Row:
        """Set the pipeline beside the least that its stages take on this processor when no core ever waits.

        Args:
            seconds: What the pipeline took.
            backbone: The bare loop is its reference.
        """
        preparer, clips = self._extractor("bf16").preparer, self._table.clips[: max(1, self._scale.clips // 4)]
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        preparer.prepare(clips[0])  # loads the detector
        begun = time.process_time()
        inputs = sum(len(preparer.prepare(clip).inputs) for clip in clips)
        prepared = (time.process_time() - begun) / inputs
        cv2.setNumThreads(threads)
        bare = statistics.median(backbone.reference) / inputs
        least = self._pictures * (bare + prepared / (os.cpu_count() or 1))
        note = (
            f"a picture: {1000 * bare:.1f} ms of all cores in the bare loop, {1000 * prepared:.1f} ms of one before it"
        )
        return Row(
            "the whole pipeline, against what the processor allows at all", (seconds,), (least,), "s", None, note
        )

    def _extract(self, extractor: Extractor) -> ExtractionReport:
        self._runs += 1
        report = extract(
            self._table,
            [self._config("bf16")],
            self._root / f"features{self._runs}",
            Runtime(device="cpu", workers=os.cpu_count() or 1),
            create=lambda *_: extractor,
        )
        if report.failures:
            raise RuntimeError(f"clips failed: {report.failures}")
        return report

    def _script(self, detection_size: int) -> None:
        for clip in self._table:
            pictures = script_crops(clip.video, self._scale, detection_size)
            with torch.inference_mode():
                rows = [self._network(normalised(picture[None])).numpy() for picture in pictures]
            np.save(self._root / f"{clip.id}.npy", np.concatenate(rows))

    def backbone(self, *, compiled: bool) -> Row:
        """Time the extractor on prepared clips against a bare loop over as many pictures in memory."""
        extractor = self._extractor("bf16")
        prepared = [extractor.preparer.prepare(clip) for clip in self._table.clips[: max(1, self._scale.clips // 4)]]
        batch = torch.randn(32, 3, self._scale.side, self._scale.side).to(
            torch.bfloat16, memory_format=torch.channels_last
        )
        count = sum(len(clip.inputs) for clip in prepared)
        model: Any = self._network_in_bf16()
        seconds = 0.0
        if compiled:
            model = torch.compile(model, options={"freezing": True})
            with torch.inference_mode():
                seconds = seconds_of(lambda: model(batch))

        def bare() -> None:
            with torch.inference_mode():
                for start in range(0, count, 32):
                    model(batch[: min(32, count - start)])

        ours, reference = alternate(lambda: extractor.embed(prepared), bare, 2 * self._scale.rounds)
        name = f"{self._scale.network} within the pipeline, against a bare loop of the compiled, frozen network in bf16"
        note = f"{count} pictures; compiling took {seconds:.0f} s, which counts for nothing here"
        return Row(name, ours, reference, "s", Bar("at_least", 0.85), note)

    def _network_in_bf16(self) -> nn.Module:
        network = build_network(self._scale.network)
        network.load_state_dict(self._network.state_dict())
        return network.eval().to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def accuracy(self, precision: Literal["float32", "bf16"]) -> Row:
        """Compare the features of whole batches with those of torchvision's network in float32, picture by picture."""
        extractor = self._extractor(precision)
        clip = extractor.preparer.prepare(self._table.clips[-1])
        found = torch.from_numpy(np.asarray(extractor.embed([clip])[0]))
        with torch.inference_mode():
            expected = torch.cat([self._network(normalised(picture[None])) for picture in np.asarray(clip.inputs)])
        smallest = float(cosine_similarity(found.double(), expected.double()).min())
        mean = expected.mean(0)
        apart = float(cosine_similarity((found - mean).double(), (expected - mean).double()).min())
        bar = Bar("at_least", 0.999 if precision == "bf16" else 0.99999, of="ours")
        note = f"smallest of {len(found)} rows; without what all rows have in common {apart:.6f}"
        return Row(f"cosine of {precision} features with float32 one by one", (smallest,), (), "", bar, note)


def build_network(name: str) -> nn.Module:
    """Return torchvision's network without its classifier."""
    network: Any = getattr(torchvision.models, name)(weights=None)
    network.fc = nn.Identity()
    module: nn.Module = network
    return module


def calibrated_network(scale: Scale, pictures: NDArray[np.uint8]) -> nn.Module:
    """Return a network with seeded random weights whose normalisations fit pictures and whose branches are damped."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(scale.network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over what it sees
        if isinstance(module, Bottleneck):
            nn.init.constant_(module.bn3.weight, DAMPING)
        if isinstance(module, BasicBlock):
            nn.init.constant_(module.bn2.weight, DAMPING)
    with torch.no_grad():
        network.train()(normalised(pictures))
    return network.eval()


def normalised(pictures: NDArray[np.uint8]) -> Tensor:
    """Return pictures as the network takes them, float32 (n, 3, side, side)."""
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    scaled: Tensor = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255
    return (scaled - mean) / deviation


def script_crops(video: Path | None, scale: Scale, detection_size: int) -> NDArray[np.uint8]:
    """Return one crop a sampled frame, the way the usual script has it; where no face is found, of the whole frame."""
    find = largest_face(detection_size)
    capture = cv2.VideoCapture(str(video))
    frames = list(pictures_of(capture))
    capture.release()
    chosen = ((np.arange(scale.frames) + 0.5) / scale.frames * len(frames)).astype(int)
    crops = []
    for index in chosen:
        picture = cv2.cvtColor(frames[index], cv2.COLOR_BGR2RGB)
        left, top, right, bottom = find(picture)
        margin = round(MARGIN * (right - left))
        part = picture[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
        crops.append(cv2.resize(part, (scale.side, scale.side)))
    return np.stack(crops).astype(np.uint8)


def pictures_of(capture: cv2.VideoCapture) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a video in BGR."""
    there, picture = capture.read()
    while there:
        yield np.asarray(picture, dtype=np.uint8)
        there, picture = capture.read()


def largest_face(size: int) -> Callable[[NDArray[np.uint8]], tuple[int, int, int, int]]:
    """Return dlib's detector on a picture scaled to ``size`` pixels, which gives the largest face's box."""
    import dlib

    detector = dlib.get_frontal_face_detector()

    def find(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
        factor = size / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        found = [[face.left(), face.top(), face.right(), face.bottom()] for face in detector(small, 0)]
        if not found:
            return 0, 0, picture.shape[1], picture.shape[0]
        left, top, right, bottom = max(found, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        return int(left / factor), int(top / factor), int(right / factor), int(bottom / factor)

    return find
