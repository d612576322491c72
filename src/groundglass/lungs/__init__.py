"""Scan to lung mask: training-free segmentation, external masks, zones by height."""
