"""The evidence about the pipeline itself: lineage of every commit, health and upkeep of every table."""
