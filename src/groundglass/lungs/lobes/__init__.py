"""Lung mask to the five lobes, without weights: fissures where they are seen, anatomy elsewhere."""
