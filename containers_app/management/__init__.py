"""Commands: the product on a terminal."""
