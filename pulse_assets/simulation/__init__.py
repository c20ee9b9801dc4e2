"""Simulation: worlds calibrated from silver, causal rules, scenarios, and what they do to a portfolio."""
