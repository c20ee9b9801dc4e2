"""Trust: forecasts scored when their truth arrives, and licences that say which of them may be used, and why."""
