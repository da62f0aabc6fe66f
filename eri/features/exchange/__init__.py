"""Features of others taken in, and ours handed on, as arrays, CSV or Parquet."""
