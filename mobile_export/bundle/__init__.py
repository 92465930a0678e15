"""The bundle: one folder per export with the artifact, its manifest and a golden clip."""
