"""Simulations that would have been made in the past, and how they compare with what happened."""
