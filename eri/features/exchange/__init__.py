"""Import of features that other tools made, and export of ours, as arrays, CSV or Parquet."""
