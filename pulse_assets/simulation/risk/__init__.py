"""What outcomes come to: capital, risk with intervals, where it comes from, and estimators of it."""
