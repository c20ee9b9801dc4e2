"""What Pulse computes, one folder per domain. Scheduling and the command line live in ``jobs``."""
