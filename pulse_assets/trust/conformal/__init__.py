"""Adaptive conformal recalibration of quantile forecasts, on the scale of normal scores."""
