"""The WSGI entry point of the web process."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mycodocker.settings")

application = get_wsgi_application()
# Before the server forks, once for all of its processes; else the first request of each one would wait for it.
get_resolver().url_patterns  # noqa: B018 - looking is what loads them
