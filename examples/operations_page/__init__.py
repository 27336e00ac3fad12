"""The operations page over a day of calls: see README.md."""
