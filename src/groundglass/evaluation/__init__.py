"""Measuring a model against a reference, beside trivial baselines and published figures."""
