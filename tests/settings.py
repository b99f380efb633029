"""The product's settings for tests: folders of their own, no triggers that would refuse a flush, no shared broker."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "MYCO_DATA_DIR" not in os.environ:
    os.environ["MYCO_DATA_DIR"] = tempfile.mkdtemp(prefix="myco-tests-")
    atexit.register(shutil.rmtree, os.environ["MYCO_DATA_DIR"], ignore_errors=True)
_DATA = Path(os.environ["MYCO_DATA_DIR"])
os.environ.setdefault("MYCO_SECRET_KEY", "a key for tests only, never for a deployment")
os.environ.setdefault("MYCO_BACKUP_ROOTS", str(_DATA / "backups"))
os.environ.setdefault("MYCO_BROKER_URL", "redis+socket:///nonexistent/broker.sock")

from mycodocker.settings import *  # noqa: E402, F403 - the environment comes first

AUDIT_GUARDS = False
Path(DATABASES["default"]["TEST"]["NAME"]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # noqa: S105 - fast, and no secret is behind it
