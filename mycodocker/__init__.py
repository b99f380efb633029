"""The project: settings, broker wiring, addresses. No product rule lives here."""

from mycodocker.celery import app as celery_app

__all__ = ["celery_app"]
