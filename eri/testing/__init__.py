"""Checks that a thing which somebody registers keeps what its kind promises; for the tests of a plugin.

Each check returns where all is well, and raises :class:`~eri.utils.errors.CheckError` at the first promise that is
broken: which one, by how much, and what to do about it.
"""

from eri.testing.extractor_checks import check_extractor
from eri.testing.head_checks import check_head
from eri.testing.submission_checks import check_submission
from eri.utils.errors import CheckError

__all__ = ["CheckError", "check_extractor", "check_head", "check_submission"]
