"""Boosted trees on functionals of cached features: what a clip's rows are like, one booster per label."""
