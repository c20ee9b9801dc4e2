"""Causal rules: what they may say, whether they fit a world, and the code they become."""
