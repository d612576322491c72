"""The values that travel through groundglass: frozen, on a grid, with units and a past."""
