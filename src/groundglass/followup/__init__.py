"""Two or more scans of one patient: numbers over time, what changed, and where."""
