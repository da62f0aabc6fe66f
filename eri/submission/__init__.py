"""The organisers' prediction files: their formats, reading, validating and writing them."""

from eri.submission.formats import SubmissionFormat, format_of, register_submission, submission_name
from eri.submission.validate import Code, Finding, Severity, validate_submission
from eri.submission.write import write_submission

__all__ = [
    "Code",
    "Finding",
    "Severity",
    "SubmissionFormat",
    "format_of",
    "register_submission",
    "submission_name",
    "validate_submission",
    "write_submission",
]
