"""What every extractor promises: an identity that says all and no more, and features that depend on the clip alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import cloudpickle
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from eri.config import ExtractorConfig, FaceConfig, Runtime, describe_misfits, parse_extractor
from eri.data.clips import Clip
from eri.extraction.extractors.registry import create_extractor
from eri.features.records import Extractor, Prepared, assemble
from eri.media.state import State
from eri.testing.sample_clips import SampleClips, make_sample_clips
from eri.utils.errors import CheckError, ConfigError, EriError

_SPEED_ONLY = ("device", "batch_size", "workers")
_BATCH_SIZES = (32, 3)


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
    section = _section(config)
    check = _Check(section, Runtime(device=device, workers=0), tolerance)
    check.identity()
    untried = check.settings(dict(changes or {}), ignored)
    with tempfile.TemporaryDirectory(prefix="eri-check-") as folder:
        check.features(make_sample_clips(Path(folder)))
    return untried


def _section(config: str | Mapping[str, Any] | ExtractorConfig) -> ExtractorConfig:
    if isinstance(config, ExtractorConfig):
        return config
    try:
        return parse_extractor({"extractor": config} if isinstance(config, str) else config)
    except ValidationError as error:
        raise ConfigError(
            f"the section of the extractor to check: {describe_misfits(error)}",
            hint="Settings without a default must be given: check_extractor({'extractor': name, ...}).",
        ) from None


class _Check:
    """The checks of one extractor."""

    def __init__(self, config: ExtractorConfig, runtime: Runtime, tolerance: float) -> None:
        self.config, self.runtime, self.tolerance = config, runtime, tolerance
        self.extractor = self._create()

    def _fail(self, what: str, hint: str) -> CheckError:
        return CheckError(f"the extractor '{self.config.extractor}' {what}", hint=hint)

    @contextmanager
    def _naming(self, what: str) -> Iterator[None]:
        try:
            yield
        except EriError:
            raise
        except Exception as error:
            raise self._fail(f"{what}: {type(error).__name__}: {error}", "Correct what raises this.") from error

    def _create(self, **knobs: Any) -> Extractor:
        runtime = Runtime(**{**vars(self.runtime), **knobs})
        with self._naming("cannot be made from its config"):
            return create_extractor(self.config, runtime)

    def identity(self) -> None:
        """The config comes back from JSON; the identity is JSON, and the same for every instance and speed."""
        dumped = json.loads(json.dumps(self.config.model_dump(mode="json")))
        if parse_extractor(dumped) != self.config:
            raise self._fail("has a config that JSON does not bring back", f"Feature folders hold it as {dumped}.")
        with self._naming("has no identity()"):
            found = self.extractor.identity()
        try:
            same = json.loads(json.dumps(found)) == found
        except (TypeError, ValueError) as error:
            raise self._fail(
                f"has an identity that is not JSON: {error}",
                "Use dictionaries with text as keys, lists, numbers, text.",
            ) from error
        if not same:
            raise self._fail(
                "has an identity that JSON does not bring back", "Use lists instead of tuples, and text as keys."
            )
        if named := sorted(_keys(found) & set(_SPEED_ONLY)):
            raise self._fail(
                f"names {', '.join(named)} in its identity", "Leave it out: features are the same whatever it is."
            )
        if (again := self._create().identity()) != found:
            raise self._fail(
                f"has another identity when it is made again: {_difference(found, again)}",
                "Make the identity of the settings alone, without times, addresses or random numbers.",
            )
        for knob, value in (("batch_size", self.runtime.batch_size + 5), ("workers", self.runtime.workers + 3)):
            if (other := self._create(**{knob: value}).identity()) != found:
                raise self._fail(
                    f"has another identity with another {knob}: {_difference(found, other)}",
                    f"Leave {knob} out of the identity: features must not depend on it.",
                )

    def settings(self, changes: dict[str, Any], ignored: Collection[str]) -> tuple[str, ...]:
        """Each setting changes the identity; return those that were not tried."""
        known = type(self.config).model_fields
        if unknown := sorted((changes.keys() | set(ignored)) - known.keys()):
            raise ConfigError(
                f"the extractor '{self.config.extractor}' has no setting {', '.join(unknown)}",
                hint=f"Its settings are {', '.join(known)}.",
            )
        found = self.extractor.identity()
        untried: list[str] = []
        for name in known:
            if name in ignored or name == "extractor":
                continue
            guesses = [changes[name]] if name in changes else _guesses(self.config, name)
            others: Iterator[tuple[Any, dict[str, Any]]] = filter(None, (self._with(name, value) for value in guesses))
            if not isinstance(getattr(self.config, name), BaseModel):
                others = islice(others, 1)  # the first that there is must count; of a section's settings, any
            tried = []
            for value, identity in others:
                tried.append(value)
                if identity != found:
                    break
            else:
                if not tried:
                    untried.append(name)
                    continue
                raise self._fail(
                    f"has the same identity with {name} = {tried[0]!r} as with {getattr(self.config, name)!r}",
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

    def features(self, clips: SampleClips) -> None:
        """Features are as the protocol says, and depend on the clip alone."""
        before = self.extractor.identity()
        one, other, empty = (self._prepared(clip) for clip in clips)
        for prepared in (one, other):
            if not (prepared.states == State.VALID).any():
                raise self._fail(
                    f"has no valid row of a clip with a face and a voice: {_states(prepared)}",
                    "Look at what its preparer finds; a face 100 pixels high and a voice are there.",
                )
        looks = getattr(getattr(self.config, "faces", None), "detector", "none") != "none"
        if (looks or self.extractor.modality == "audio") and (empty.states == State.VALID).any():
            raise self._fail(
                f"has valid rows of a clip without a face and without audio: {_states(empty)}",
                "Give such rows the state NO_FACE or NO_AUDIO, so that no model learns from them.",
            )
        alone = [self._embedded(self.extractor, [prepared])[0] for prepared in (one, other, empty)]
        for size in _BATCH_SIZES:
            extractor = self._create(batch_size=size)
            for order in ((0, 1, 2), (2, 1, 0)):
                together = self._embedded(extractor, [(one, other, empty)[place] for place in order])
                for place, rows in zip(order, together, strict=True):
                    self._compare(alone[place], rows, f"beside other clips with batch size {size}")
        if (after := self.extractor.identity()) != before:
            raise self._fail(
                f"has another identity after use: {_difference(before, after)}", "Make the identity of settings alone."
            )

    def _prepared(self, clip: Clip) -> Prepared:
        """Prepare a clip here and by a copy of the preparer, as a worker process gets it."""
        with self._naming(f"cannot prepare the clip '{clip.id}'"):
            prepared = self.extractor.preparer.prepare(clip)
        with self._naming("has a preparer that cannot be sent to worker processes"):
            copy = cloudpickle.loads(cloudpickle.dumps(self.extractor.preparer))  # as eri.utils.workers sends it
            sent = copy.prepare(clip)
        for name in ("inputs", "times", "states"):
            if not np.array_equal(getattr(prepared, name), getattr(sent, name)):
                raise self._fail(
                    f"has a preparer whose copy prepares other {name} of the clip '{clip.id}'",
                    "Keep everything that decides them in its attributes.",
                )
        self._check_grid(clip, prepared)
        return prepared

    def _check_grid(self, clip: Clip, prepared: Prepared) -> None:
        times, states = np.asarray(prepared.times), np.asarray(prepared.states)
        if prepared.clip_id != clip.id:
            raise self._fail(f"prepares the clip '{clip.id}' as '{prepared.clip_id}'", "Pass on the id of the clip.")
        if times.ndim != 1 or times.shape != states.shape or not len(times):
            raise self._fail(
                f"has times of shape {times.shape} and states of shape {states.shape} of the clip '{clip.id}'",
                "Give each row one time and one state, and every clip at least one row.",
            )
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise self._fail(f"has times of the clip '{clip.id}' that do not ascend: {times[:5]}", "Sort the rows.")
        if not set(states.tolist()) <= {state.value for state in State}:
            raise self._fail(f"has rows of a state that does not exist: {_states(prepared)}", "See eri.media.state.")

    def _embedded(self, extractor: Extractor, clips: Sequence[Prepared]) -> list[NDArray[Any]]:
        named = ", ".join(f"'{clip.clip_id}'" for clip in clips)
        with self._naming(f"fails when it embeds {named}"):
            results = extractor.embed(clips)
        if len(results) != len(clips):
            raise self._fail(f"returns {len(results)} arrays for {len(clips)} clips", "Return one array a clip.")
        for clip, rows in zip(clips, results, strict=True):
            valid = int((clip.states == State.VALID).sum())
            wanted = (valid, np.asarray(rows).shape[-1] if clip.encoded else extractor.dimension)
            if np.shape(rows) != wanted:
                raise self._fail(
                    f"returns an array of shape {np.shape(rows)} for the clip '{clip.clip_id}', not {wanted}",
                    f"embed() returns one row for each valid row; its attribute dimension is {extractor.dimension}.",
                )
            if clip.encoded:
                continue
            if np.asarray(rows).dtype != np.float32:
                raise self._fail(f"returns {np.asarray(rows).dtype}", "Return float32.")
            if not np.isfinite(rows).all():
                raise self._fail(
                    f"returns numbers of the clip '{clip.clip_id}' that are not finite",
                    "Guard logarithms and divisions, or give such rows a state other than VALID.",
                )
            assemble(clip, rows)
        return results

    def _compare(self, alone: NDArray[Any], beside: NDArray[Any], how: str) -> None:
        if alone.dtype == np.uint8:
            distance = 0.0 if np.array_equal(alone, beside) else np.inf
        else:
            longer = np.maximum(np.linalg.norm(alone, axis=1), np.linalg.norm(beside, axis=1))
            shares = np.linalg.norm(alone - beside, axis=1) / np.maximum(longer, 1e-12)
            distance = float(shares.max(initial=0.0))
        if distance > self.tolerance:
            raise self._fail(
                f"embeds a clip otherwise {how} than alone: by {distance:.2g} of its length",
                "Embed each row by itself: no statistics over the batch, no dropout, model.eval().",
            )


def _keys(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        return {str(key) for key in value} | {key for part in value.values() for key in _keys(part)}
    return {key for part in value for key in _keys(part)} if isinstance(value, list) else set()


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    differing = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return ", ".join(f"{key} is {one.get(key)!r}, then {other.get(key)!r}" for key in differing)


def _states(prepared: Prepared) -> str:
    values, counts = np.unique(prepared.states, return_counts=True)
    names = {state.value: state.name for state in State}
    return ", ".join(
        f"{count} rows {names.get(value, value)}" for value, count in zip(values.tolist(), counts.tolist(), strict=True)
    )


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
