"""The product's settings for tests: folders of their own, no triggers that would refuse a flush, no shared broker."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
_DATA = Path(tempfile.gettempdir()) / f"myco-tests-{os.getuid()}" / _WORKER
os.environ.setdefault("MYCO_DATA_DIR", str(_DATA))
os.environ.setdefault("MYCO_SECRET_KEY", "a key for tests only, never for a deployment")
os.environ.setdefault("MYCO_BACKUP_ROOTS", str(_DATA / "backups"))
os.environ.setdefault("MYCO_BROKER_URL", "redis+socket:///nonexistent/broker.sock")

from mycodocker.settings import *  # noqa: E402, F403 - the environment comes first

AUDIT_GUARDS = False
Path(DATABASES["default"]["TEST"]["NAME"]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # noqa: S105 - fast, and no secret is behind it
