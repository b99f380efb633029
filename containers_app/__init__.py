"""MycoDocker: clone and back up Docker containers as audited operations."""

VERSION = "0.1.0"
