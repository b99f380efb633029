"""The product's settings for tests: folders of their own, no triggers that would refuse a flush, no shared broker."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
if os.environ.get("MYCO_TEST_FOLDER_OF") != _WORKER:  # a worker inherits its controller's environment, not its folder
    _DATA = Path(tempfile.mkdtemp(prefix="myco-tests-"))
    atexit.register(shutil.rmtree, _DATA, ignore_errors=True)
    os.environ.update(MYCO_TEST_FOLDER_OF=_WORKER, MYCO_DATA_DIR=str(_DATA), MYCO_BACKUP_ROOTS=str(_DATA / "backups"))
os.environ.setdefault("MYCO_SECRET_KEY", "a key for tests only, never for a deployment")
os.environ.setdefault("MYCO_BROKER_URL", "redis+socket:///nonexistent/broker.sock")

from mycodocker.settings import *  # noqa: E402, F403 - the environment comes first

AUDIT_GUARDS = False
# Static files are looked for when they are asked for: each client of a test would read all of them first.
WHITENOISE_AUTOREFRESH = True
Path(DATABASES["default"]["TEST"]["NAME"]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
