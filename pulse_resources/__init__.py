"""What Pulse talks to: the lake, compute, sources, the clock. Nothing here knows what Pulse computes."""
