"""How one command starts everything on one machine."""
