"""Our small regressor: network, random changes, recipe."""
