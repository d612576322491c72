"""Networks as files with cards: what they are, where they lie, how they run. No torch."""
