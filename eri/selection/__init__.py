"""Sound selection: cross-validation, ensembles and comparisons that score on data which nothing was chosen on."""

from eri.selection.comparison import Comparison, Difference, compare, compare_predictions, holm
from eri.selection.cross_validation import CrossValidation, FoldScore, ModelTrained, cv
from eri.selection.ensembling import EnsembleReport, ensemble, predict
from eri.selection.folds import Fold, FoldPlan, make_folds
from eri.selection.significance import FoldComparison, compare_folds

__all__ = [
    "Comparison",
    "CrossValidation",
    "Difference",
    "EnsembleReport",
    "Fold",
    "FoldComparison",
    "FoldPlan",
    "FoldScore",
    "ModelTrained",
    "compare",
    "compare_folds",
    "compare_predictions",
    "cv",
    "ensemble",
    "holm",
    "make_folds",
    "predict",
]
