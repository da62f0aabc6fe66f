"""Every error that the toolkit raises on purpose; anything that is not an :class:`EriError` is a bug."""

from __future__ import annotations

from pathlib import Path


class EriError(Exception):
    r"""The base of all errors meant for the user.

    Args:
        message: What is wrong, with the file, line or clip it concerns.
        hint: What the user can do next; shown on its own line.

    Examples:
        >>> str(EriError("clips.csv: no column 'id'", hint="Name the column with columns.id."))
        "clips.csv: no column 'id'\n  → Name the column with columns.id."
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  → {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes send errors home; keyword-only arguments need help to travel.
        return _rebuild, (type(self), self.message, self.hint, self.__dict__)


def _rebuild(cls: type[EriError], message: str, hint: str | None, state: dict[str, object]) -> EriError:
    error = cls.__new__(cls)
    EriError.__init__(error, message, hint=hint)
    error.__dict__.update(state)
    return error


class ConfigError(EriError):
    """A configuration that cannot be: an unknown key, a value out of range, two that contradict each other."""

    exit_code = 2


class PluginError(ConfigError):
    """A module that registers things and cannot be loaded, or something of it that cannot be registered."""


class CheckError(EriError):
    """Something registered breaks a promise of its kind, as a check of :mod:`eri.testing` found."""


class DataError(EriError):
    """A challenge folder, table or label that is not as its format demands."""


class UnknownClassError(DataError):
    """A clip's label names none of the classes of its task."""


class ConflictingLabelsError(DataError):
    """One clip has two labels that contradict each other."""


class MissingSubjectError(DataError):
    """A clip has no subject that can be found, although its data set names subjects."""


class SplitError(DataError):
    """The list of clips of a split or of an official fold is not there, or does not fit the other lists."""


class MissingClassError(DataError):
    """A class has no clip where one is needed: in the training part of a fold."""


class MediaError(EriError):
    """A media file that cannot give what was asked of it.

    Attributes:
        path: The file.
        reason: A short machine-readable word, such as ``truncated`` or ``no-video``; it goes to ``failures.csv``.
    """

    reason = "unreadable"

    def __init_subclass__(cls, *, reason: str | None = None) -> None:
        cls.reason = reason or cls.reason

    def __init__(self, path: Path, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path}: {message}", hint=hint)
        self.path = path


class MissingMediaError(MediaError, reason="missing"):
    """The file is not there."""


class EmptyMediaError(MediaError, reason="empty"):
    """The file has no bytes."""


class NotAFileError(MediaError, reason="not-a-file"):
    """The path is a folder without images, a device or a pipe: nothing that could be read as media."""


class ForbiddenMediaError(MediaError, reason="forbidden"):
    """The file may not be read by this user."""


class NotMediaError(MediaError, reason="not-media"):
    """The file's content is of no known media format, whatever its name says."""


class TruncatedMediaError(MediaError, reason="truncated"):
    """The file ends before anything in it can be decoded."""


class UnsupportedMediaError(MediaError, reason="unsupported"):
    """The stream is of a codec that this build of FFmpeg cannot decode, or its description is missing."""


class OversizedMediaError(MediaError, reason="too-large"):
    """Images larger than the limit, or more packets than any real clip has."""


class ChangedMediaError(MediaError, reason="changed"):
    """The file was changed while it was being read."""


class MediaTimeoutError(MediaError, reason="timeout"):
    """Reading the file took longer than it may."""


class NoVideoError(MediaError, reason="no-video"):
    """The file holds no video stream, or one without a single frame."""


class NoAudioError(MediaError, reason="no-audio"):
    """The file holds no audio stream, or one without a single sample."""


class ReasonedError(EriError):
    """The base of errors with a short machine-readable reason."""

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class WorkerError(ReasonedError):
    """One clip could not be worked on: its worker process died or ran out of time, or another run holds it.

    Attributes:
        reason: ``crashed``, ``timeout`` or ``claimed``.
    """


class WorkerStartError(EriError):
    """Worker processes cannot be started, whatever they would work on."""


class DeviceMemoryError(EriError):
    """The GPU's memory does not hold the model and the least it could work on."""


class WeightsError(EriError):
    """Model weights that are absent, tampered with, or of another model's shape."""


class StoreError(EriError):
    """A feature folder that cannot be read or written, or a feature file whose checksum or identity does not match."""


class RunError(EriError):
    """A run folder that already exists, is incomplete, or does not fit the data it is asked about."""


class SubmissionError(EriError):
    """A submission that cannot be written."""


class MissingDependencyError(EriError):
    """An optional package that the asked-for feature needs is not installed."""


class ClusterError(EriError):
    """A Ray cluster that cannot be reached, or whose nodes cannot do the work."""


class RemoteError(ReasonedError):
    """An object store that cannot be reached, or that refuses.

    Attributes:
        reason: ``credentials``, ``forbidden``, ``missing``, ``unreachable``, ``changed`` or ``protocol``.
    """
