"""Extractors: from prepared clips to embeddings, and where their weights come from."""
