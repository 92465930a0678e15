"""The graphs that are exported (``forms``) and what is rewritten in them for a phone."""
