"""Synthetic gestures: what a hand does (shared by any renderer) and the data sets drawn of it."""
