"""Run folders: found by path or name, and opened to predict."""
