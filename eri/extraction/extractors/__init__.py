"""Extractors: loaded models that turn clips into features, one module per family of models."""
