"""Clips that are generated: faces that move and voices that speak, in the layout of a challenge."""
