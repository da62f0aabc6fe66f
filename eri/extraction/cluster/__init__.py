"""Ray clusters: connecting to one, and running tasks on it."""
