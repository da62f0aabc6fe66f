"""Scores that can be believed: evaluation, folds, cross-validation, ensembles, comparison, search."""
