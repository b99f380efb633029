"""`manage.py` of a test's stack: each command is a process of its own, forked from one in which Django is loaded."""

from __future__ import annotations

import json
import sys

import django

django.setup()

from django.core.management import ManagementUtility  # noqa: E402 - Django comes first
from django.urls import get_resolver  # noqa: E402

from tests.integration.forks import fork_for_each  # noqa: E402


def run(arguments: str) -> None:
    ManagementUtility(["manage.py", *json.loads(arguments)]).execute()


if __name__ == "__main__":
    get_resolver().url_patterns  # noqa: B018 - the checks that come before each command look at all routes
    fork_for_each(int(sys.argv[1]), run)
