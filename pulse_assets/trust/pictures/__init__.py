"""Pictures of trust: whether probabilities are kept, what drifts, and how forecasts earn their licence."""
