"""Infection mask and CT severity score of the Identification-and-Severity system, as published."""
