"""Tries what is documented against a running console, and judges every answer by the Engine and the storage."""
