"""Boosted trees on functionals of cached features: what a clip's rows are like, a booster a label."""

from eri.training.trees.functionals import clip_functionals, functional_names, summarize
from eri.training.trees.learner import TreeLearner

__all__ = ["TreeLearner", "clip_functionals", "functional_names", "summarize"]
