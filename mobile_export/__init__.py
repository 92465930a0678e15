"""Quantize, lower, verify and bundle a gesture recogniser for phones."""
