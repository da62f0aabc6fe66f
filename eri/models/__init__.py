"""Heads that regress intensities from sequences of embeddings."""
