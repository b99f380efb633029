"""Measurements against named public commands: `make bench`."""
