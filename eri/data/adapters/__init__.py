"""Adapters: one module per data set, each reads its layout into a clip table."""
