"""Detects change: in the errors of a model on one series, in the steps of a series, in whole panels."""
