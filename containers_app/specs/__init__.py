"""Frozen values that cross layer borders: no Django, no SDK, no input or output."""
