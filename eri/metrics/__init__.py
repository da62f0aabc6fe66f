"""How predictions are scored: intensities by correlation, classes by recall, with bootstrap intervals."""
