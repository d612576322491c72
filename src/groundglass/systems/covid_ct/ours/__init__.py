"""The small classifier of groundglass and its recipe."""
