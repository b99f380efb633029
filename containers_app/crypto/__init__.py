"""Sealing and keyed digests: what must be kept for a while, or compared, without being shown."""
