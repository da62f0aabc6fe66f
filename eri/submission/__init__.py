"""Submissions: writing and judging the organisers' prediction files."""
