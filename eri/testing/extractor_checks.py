"""What every extractor promises: an identity that says all and no more, and features that depend on the clip alone."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import cloudpickle
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from eri.config import ExtractorConfig, FaceConfig, Runtime, parse_extractor
from eri.data.clips import Clip
from eri.extraction.extractors.registry import create_extractor
from eri.features.records import Extractor, Prepared, assemble
from eri.media.state import State
from eri.synthetic.clip_files import write_video, write_wave
from eri.synthetic.stage import HEIGHT, WIDTH, Stage
from eri.synthetic.subjects import create_subject, move, perform
from eri.synthetic.voice import speak
from eri.testing.promises import Promises, parse_section
from eri.utils.errors import ConfigError, EriError

_BATCH_SIZES = (32, 3)
_FRAME_RATE = 8
_SECONDS = (1.5, 2.2)


def check_extractor(
    config: str | Mapping[str, Any] | ExtractorConfig,
    *,
    changes: Mapping[str, Any] | None = None,
    ignored: Collection[str] = (),
    tolerance: float = 1e-3,
    device: str = "cpu",
) -> tuple[str, ...]:
    """Check that an extractor keeps what :class:`~eri.features.records.Extractor` promises.

    The section of its config comes back from JSON as it was. Its identity is JSON, is the same for two instances,
    before and after use, and for any batch size and number of workers; it names no device; and it changes with every
    setting, of a section such as ``faces`` with one at least. Its preparer can be sent to another process and prepares
    the same there. Of generated clips, its features are float32 of the stated dimension, finite, one for each valid
    row of times that ascend; they are the same for a clip alone, beside others, and with another batch size. A clip
    without a face and without audio has rows that are masked (where the extractor looks for faces, or reads audio)
    and raises nothing.

    Args:
        config: The name of the extractor, its section as a mapping, or as an object.
        changes: Another value of a setting, for those of which none can be guessed: text, paths, and settings that
            must change together with others. Of numbers, switches and choices, one is guessed.
        ignored: Settings that do not change the numbers, such as the seed of weights that are not random.
        tolerance: Largest distance between two embeddings of the same row, as a share of the longer one.
        device: Where the features are computed.

    Returns:
        The settings that were not tried, because no other value of them is known.

    Raises:
        CheckError: A promise is broken; the first that was found.
        EriError: The extractor cannot be created, for reasons of its own: unknown settings, weights that are absent.

    Examples:
        >>> check_extractor({"extractor": "mfcc", "mel_bands": 40, "coefficients": 13})
        ()
    """
    section = parse_section("extractor", "extractor", parse_extractor, config)
    check = _Check(section, Runtime(device=device, workers=0), tolerance)
    check.identity()
    untried = check.settings(dict(changes or {}), ignored)
    with tempfile.TemporaryDirectory(prefix="eri-check-") as folder:
        check.features(_sample_clips(Path(folder)))
    return untried


class _Check(Promises):
    """The checks of one extractor."""

    def __init__(self, config: ExtractorConfig, runtime: Runtime, tolerance: float) -> None:
        super().__init__(f"the extractor '{config.extractor}'")
        self.config, self.runtime, self.tolerance = config, runtime, tolerance
        self.extractor = self._create()

    def _create(self, **knobs: Any) -> Extractor:
        with self.naming("cannot be made from its config"):
            return create_extractor(self.config, Runtime(**{**vars(self.runtime), **knobs}))

    def identity(self) -> None:
        """The config comes back from JSON; the identity is JSON, and the same for every instance and speed."""
        dumped = json.loads(json.dumps(self.config.model_dump(mode="json")))
        same, hint = parse_extractor(dumped) == self.config, f"Feature folders hold it as {dumped}."
        self.require(same, "has a config that JSON does not bring back", hint)
        with self.naming("has no identity()"):
            found = self.extractor.identity()
        with self.naming(
            "has an identity that is not JSON", "Use dictionaries with text as keys, lists, numbers, text."
        ):
            same = json.loads(json.dumps(found)) == found
        wrong = "has an identity that JSON does not bring back"
        self.require(same, wrong, "Use lists instead of tuples, and text as keys.")
        named = ", ".join(sorted(_keys(found) & {"device", "batch_size", "workers"}))
        wrong = f"names {named} in its identity"
        self.require(not named, wrong, "Leave it out: features are the same whatever it is.")
        again = self._create().identity()
        self.require(
            again == found,
            f"has another identity when it is made again: {_difference(found, again)}",
            "Make the identity of the settings alone, without times, addresses or random numbers.",
        )
        for knob, value in (("batch_size", self.runtime.batch_size + 5), ("workers", self.runtime.workers + 3)):
            other = self._create(**{knob: value}).identity()
            self.require(
                other == found,
                f"has another identity with another {knob}: {_difference(found, other)}",
                f"Leave {knob} out of the identity: features must not depend on it.",
            )

    def settings(self, changes: dict[str, Any], ignored: Collection[str]) -> tuple[str, ...]:
        """Each setting changes the identity; return those that were not tried."""
        known = type(self.config).model_fields
        if unknown := sorted((changes.keys() | set(ignored)) - known.keys()):
            raise ConfigError(
                f"{self.thing} has no setting {', '.join(unknown)}", hint=f"Its settings are {', '.join(known)}."
            )
        found = self.extractor.identity()
        untried: list[str] = []
        for name in (field for field in known if field not in (*ignored, "extractor")):
            guesses = [changes[name]] if name in changes else _guesses(self.config, name)
            others: Iterator[tuple[Any, dict[str, Any]]] = filter(None, (self._with(name, value) for value in guesses))
            if not isinstance(getattr(self.config, name), BaseModel):
                others = islice(others, 1)  # the first that there is must count; of a section's settings, any
            if (first := next(others, None)) is None:
                untried.append(name)
                continue
            self.require(
                first[1] != found or any(identity != found for _, identity in others),
                f"has the same identity with {name} = {first[0]!r} as with {getattr(self.config, name)!r}",
                f"Put {name} into the identity, or give ignored={{'{name}'}} where it changes no number.",
            )
        return tuple(untried)

    def _with(self, name: str, value: Any) -> tuple[Any, dict[str, Any]] | None:
        """Return a setting's other value with the identity then; None where there is no extractor of that value."""
        try:
            config = type(self.config).model_validate({**self.config.model_dump(), name: value})
            return value, create_extractor(config, self.runtime).identity()
        except (ValueError, AssertionError, EriError):
            return None

    def features(self, clips: Sequence[Clip]) -> None:
        """Features are as the protocol says, and depend on the clip alone."""
        before = self.extractor.identity()
        prepared = [self._prepared(clip) for clip in clips]
        for one in prepared[:2]:
            self.require(
                (one.states == State.VALID).any(),
                f"has no valid row of a clip with a face and a voice: {_states(one)}",
                "Look at what its preparer finds; a face 100 pixels high and a voice are there.",
            )
        looks = getattr(getattr(self.config, "faces", None), "detector", "none") != "none"
        if looks or self.extractor.modality == "audio":
            self.require(
                not (prepared[2].states == State.VALID).any(),
                f"has valid rows of a clip without a face and without audio: {_states(prepared[2])}",
                "Give such rows the state NO_FACE or NO_AUDIO, so that no model learns from them.",
            )
        alone = [self._embedded(self.extractor, [one])[0] for one in prepared]
        for size in _BATCH_SIZES:
            extractor = self._create(batch_size=size)
            for order in ((0, 1, 2), (2, 1, 0)):
                together = self._embedded(extractor, [prepared[place] for place in order])
                for place, rows in zip(order, together, strict=True):
                    distance = _distance(alone[place], rows)
                    self.require(
                        distance <= self.tolerance,
                        f"embeds a clip otherwise beside other clips with batch size {size} than alone: by "
                        f"{distance:.2g} of its length",
                        "Embed each row by itself: no statistics over the batch, no dropout, model.eval().",
                    )
        after = self.extractor.identity()
        changed = f"has another identity after use: {_difference(before, after)}"
        self.require(after == before, changed, "Make the identity of settings alone.")

    def _prepared(self, clip: Clip) -> Prepared:
        """Prepare a clip here and by a copy of the preparer, as a worker process gets it; check the rows."""
        with self.naming(f"cannot prepare the clip '{clip.id}'"):
            prepared = self.extractor.preparer.prepare(clip)
        with self.naming("has a preparer that cannot be sent to worker processes"):
            copy = cloudpickle.loads(cloudpickle.dumps(self.extractor.preparer))  # as eri.utils.workers sends it
            sent = copy.prepare(clip)
        for name in ("inputs", "times", "states"):
            self.require(
                np.array_equal(getattr(prepared, name), getattr(sent, name)),
                f"has a preparer whose copy prepares other {name} of the clip '{clip.id}'",
                "Keep everything that decides them in its attributes.",
            )
        times, states = np.asarray(prepared.times), np.asarray(prepared.states)
        misnamed = f"prepares the clip '{clip.id}' as '{prepared.clip_id}'"
        self.require(prepared.clip_id == clip.id, misnamed, "Pass on the id of the clip.")
        self.require(
            times.ndim == 1 and times.shape == states.shape and len(times),
            f"has times of shape {times.shape} and states of shape {states.shape} of the clip '{clip.id}'",
            "Give each row one time and one state, and every clip at least one row.",
        )
        ascending = np.isfinite(times).all() and (np.diff(times) > 0).all()
        self.require(ascending, f"has times of the clip '{clip.id}' that do not ascend: {times[:5]}", "Sort the rows.")
        known = set(states.tolist()) <= {state.value for state in State}
        self.require(known, f"has rows of a state that does not exist: {_states(prepared)}", "See eri.media.state.")
        return prepared

    def _embedded(self, extractor: Extractor, clips: Sequence[Prepared]) -> list[NDArray[Any]]:
        named = ", ".join(f"'{clip.clip_id}'" for clip in clips)
        with self.naming(f"fails when it embeds {named}"):
            results = extractor.embed(clips)
        lost = f"returns {len(results)} arrays for {len(clips)} clips"
        self.require(len(results) == len(clips), lost, "Return one array a clip.")
        for clip, rows in zip(clips, results, strict=True):
            valid = int((clip.states == State.VALID).sum())
            wanted = (valid, np.asarray(rows).shape[-1] if clip.encoded else extractor.dimension)
            self.require(
                np.shape(rows) == wanted,
                f"returns an array of shape {np.shape(rows)} for the clip '{clip.clip_id}', not {wanted}",
                f"embed() returns one row for each valid row; its attribute dimension is {extractor.dimension}.",
            )
            if clip.encoded:
                continue
            dtype = np.asarray(rows).dtype
            self.require(dtype == np.float32, f"returns {dtype}", "Return float32.")
            self.require(
                np.isfinite(rows).all(),
                f"returns numbers of the clip '{clip.clip_id}' that are not finite",
                "Guard logarithms and divisions, or give such rows a state other than VALID.",
            )
            assemble(clip, rows)
        return results


def _distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the largest distance between two embeddings of a row, as a share of the longer one."""
    if one.dtype == np.uint8:
        return 0.0 if np.array_equal(one, other) else np.inf
    longer = np.maximum(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))
    return float((np.linalg.norm(one - other, axis=1) / np.maximum(longer, 1e-12)).max(initial=0.0))


def _sample_clips(folder: Path) -> list[Clip]:
    """Write three clips, the same each time: two of a face and a voice, and one of grey frames without audio."""
    clips = []
    for number, seconds in enumerate(_SECONDS):
        subject, random = create_subject(0, number), np.random.default_rng(number)
        performance = perform(random, subject.expressiveness, seconds)
        times = np.arange(int(seconds * _FRAME_RATE)) / _FRAME_RATE
        stage, motion = Stage(subject.look, random), move(performance, times)
        audio = speak(performance, subject.voice, random)
        clips.append(Clip(f"clip{number}", "test", video=folder / f"{number}.mp4", audio=folder / f"{number}.wav"))
        write_video(folder / f"{number}.mp4", (stage.draw(motion, index) for index in range(len(times))), times, audio)
        write_wave(folder / f"{number}.wav", audio)
    grey, empty = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8), folder / "empty.mp4"
    write_video(empty, [grey] * _FRAME_RATE, np.arange(_FRAME_RATE) / _FRAME_RATE, None)
    return [*clips, Clip("empty", "test", video=empty)]


def _keys(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        return {str(key) for key in value} | {key for part in value.values() for key in _keys(part)}
    return {key for part in value for key in _keys(part)} if isinstance(value, list) else set()


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    differing = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return ", ".join(f"{key} is {one.get(key)!r}, then {other.get(key)!r}" for key in differing)


def _states(prepared: Prepared) -> str:
    names = {state.value: state.name for state in State}
    counts = sorted(Counter(np.asarray(prepared.states).ravel().tolist()).items())
    return ", ".join(f"{count} rows {names.get(value, value)}" for value, count in counts)


def _guesses(section: BaseModel, name: str) -> list[Any]:
    """Return other values of a setting, the likelier ones first; none of text, paths and what is left open."""
    value, annotation = getattr(section, name), type(section).model_fields[name].annotation
    if isinstance(value, bool):
        return [not value]
    if get_origin(annotation) is Literal:
        return [choice for choice in get_args(annotation) if choice != value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value * 1.25, value * 0.8]
    if isinstance(value, BaseModel):
        dumped = value.model_dump()
        inner = [{**dumped, name: guess} for name in type(value).model_fields for guess in _guesses(value, name)]
        if isinstance(value, FaceConfig):  # of whole frames (detector none) no other setting of it is read
            inner.insert(0, {**dumped, "detector": "dlib" if value.detector == "none" else "none"})
        return inner
    return []
