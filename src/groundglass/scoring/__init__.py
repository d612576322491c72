"""Masks to numbers: burden by region and slice, severity scores, effects of uneven geometry."""
