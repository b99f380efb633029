"""The Celery application: JSON only, settings from Django, one task that takes an id."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_ready

from mycodocker import env

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mycodocker.settings")

app = Celery("mycodocker")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["containers_app"])

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>

_SWITCH_SECONDS = 0.0005


@worker_process_init.connect
def die_with_the_worker(**_: Any) -> None:
    """A pool process ends with its parent, even one that was killed: nothing works on without a master."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


@worker_process_init.connect
def share_the_interpreter(**_: Any) -> None:
    """The threads of a backup hand over every chunk; each would wait ten times as long for one that computes."""
    sys.setswitchinterval(_SWITCH_SECONDS)


@worker_ready.connect
def tell_the_start_command(**_: Any) -> None:
    """The command that starts everything waits for this file; where nobody made its folder, nobody waits."""
    folder = env.DATA_DIR / "run"
    if folder.is_dir():
        (folder / "worker.ready").write_text(f"{os.getpid()}\n")
