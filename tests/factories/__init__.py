"""Makers of the files and objects that tests need, each to measure."""
