"""Starts everything on one machine: set-up, processes, the demonstration's Engine and samples, and what is printed."""
