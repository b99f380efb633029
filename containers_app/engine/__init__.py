"""Drives a Docker Engine: the only package that imports the SDK, and the only way to change anything on an Engine."""
