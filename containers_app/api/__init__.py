"""The REST interface: dress only. Every act goes through `operations.submit`."""
