"""What a newcomer reads when everything runs: where, who, and two requests to paste."""

from __future__ import annotations

import json
import shlex

from containers_app.management.launch.people import Administrator
from containers_app.management.launch.places import Places

_HOST_PLACEHOLDER = "my-container"


def requests(*, url: str, api_key: str, sample: str) -> tuple[str, str]:
    """The two documented requests, each as one line of shell."""
    return (
        _curl("clone", url=url, api_key=api_key, container=sample),
        _curl("backup", url=url, api_key=api_key, container=sample),
    )


def _curl(action: str, *, url: str, api_key: str, container: str) -> str:
    body = json.dumps({"action": action, "containerId": container or _HOST_PLACEHOLDER})
    words = (
        *("curl", "-sS", "-X", "POST", f"{url}/api/docker/containers"),
        *("-H", f"Authorization: Bearer {api_key}", "-H", "Content-Type: application/json", "-d", body),
    )
    return shlex.join(words)


def account(administrator: Administrator) -> list[str]:
    """Who signs in; a password is shown when it was made just now, and never again."""
    if not administrator.name:
        return ["  account    your own"]
    if administrator.is_new:
        note = "(shown this once: keep it, and change it in the console)"
        return [f"  account    {administrator.name}", f"  password   {administrator.password}   {note}"]
    forgotten = f"forgotten: manage.py changepassword {administrator.name}"
    return [f"  account    {administrator.name}", f"  password   unchanged since the first start   ({forgotten})"]


def ready(*, url: str, administrator: Administrator, seconds: float) -> list[str]:
    """The lines that every start shows."""
    return ["", f"Ready after {seconds:.1f} s.", "", f"  console    {url}/admin/", *account(administrator)]


def demonstration(*, url: str, api_key: str, sample: str, places: Places) -> list[str]:
    """The lines of the demonstration."""
    clone, backup = requests(url=url, api_key=api_key, sample=sample)
    return [
        f"  API key    {api_key}",
        "",
        "The two documented requests, ready to paste into another terminal:",
        "",
        clone,
        "",
        backup,
        "",
        f"For scripts, all of it is in {places.demo_env}. To check everything: make smoke",
    ]


def farewell(places: Places) -> list[str]:
    """How to look on, and how to end it."""
    return [f"The processes write to {places.log}/. Ctrl-C ends everything.", ""]
