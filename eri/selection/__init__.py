"""Sound selection: cross-validation, ensembles and comparisons that score on data which nothing was chosen on."""

from eri.selection.cross_validation import CrossValidation, FoldScore, ModelTrained, cv
from eri.selection.folds import Fold, FoldPlan, make_folds

__all__ = ["CrossValidation", "Fold", "FoldPlan", "FoldScore", "ModelTrained", "cv", "make_folds"]
