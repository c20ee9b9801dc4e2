"""Decisions: gates with reasons, ranks that must be earned repeatedly, the hash chain, the one door for readers."""
