"""A classifier of chest X-rays whose weights regressors of Per-COVID-19 can start from."""
