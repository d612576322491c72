"""The infection network of groundglass: small, for pictures and HU, two kinds of lesion."""
