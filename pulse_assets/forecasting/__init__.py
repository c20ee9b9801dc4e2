"""Forecasts: packs silver into arrays, runs a bank of filters over every origin in one pass, writes quantiles."""
