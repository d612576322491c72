"""Per-COVID-19: the infected percentage of a slice by regression."""
