"""COVID-CTset: slices chosen by darkness, classified, and counted to a patient."""
