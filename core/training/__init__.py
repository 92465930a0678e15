"""Training: ``loop`` runs what ``plan`` makes of a command line, by the rules of ``recipes``."""
