"""The node in the hospital's network: asks archives, receives studies, returns results."""
