"""When a panel model is trained anew, tried in the shadow, promoted, or rolled back. Pure."""
