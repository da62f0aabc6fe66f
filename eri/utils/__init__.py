"""What every room may use: errors, files, and the restricted reading of pickled arrays."""
