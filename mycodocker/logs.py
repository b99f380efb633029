"""One line of JSON a log record: what containers and clients write can neither break a line nor forge one."""

from __future__ import annotations

import logging

import structlog


class JsonLines(structlog.stdlib.ProcessorFormatter):
    """Standard records as one escaped line of JSON each, with time (UTC), level and logger."""

    def __init__(self) -> None:
        super().__init__(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=True),
            ],
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=("operation", "request_id", "code", "reference")),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of ASCII."""
        return super().format(record)
