"""Merge latency reports of many devices and artifacts into one page."""
