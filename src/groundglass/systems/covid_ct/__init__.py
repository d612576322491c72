"""COVID_CT: one picture of a CT slice, COVID-19 or not."""
