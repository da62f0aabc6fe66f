"""Measurements beside their references; `make bench` runs all that have a bar."""
