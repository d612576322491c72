"""Scan and lung mask to infection mask: the 3-D rule for volumes, the 2-D rule for pictures."""
