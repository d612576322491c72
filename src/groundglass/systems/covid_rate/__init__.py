"""COVID-Rate: lesions on single slices by a network, with synthetic pairs and self-training."""
