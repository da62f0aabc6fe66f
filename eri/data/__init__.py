"""Data sets: adapters that read a challenge folder or table into one clip table."""
