"""How likely a model is to beat naive on a series next, and what its calibration was."""
