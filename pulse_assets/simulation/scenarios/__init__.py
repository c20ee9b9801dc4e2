"""Scenarios: the files that users write, and the arrays of shocks that they become."""
