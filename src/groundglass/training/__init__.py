"""Training: splits, leaks, one loop for all systems, export. Needs the extra train."""
