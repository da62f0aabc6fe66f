"""Training: packed features, standardisation, the loop and its checkpoints."""
