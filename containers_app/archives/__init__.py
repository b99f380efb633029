"""The data path of a backup: what is checked, written, closed by a manifest and made visible last."""
