"""The slice selection of COVID-CTset."""
