"""The Celery application: JSON only, settings from Django, one task that takes an id."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mycodocker.settings")

app = Celery("mycodocker")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["containers_app"])
