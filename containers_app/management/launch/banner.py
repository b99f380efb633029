"""What a newcomer reads when everything runs: where, who, and two requests to paste."""

from __future__ import annotations

import json

from containers_app.management.launch.people import Credentials
from mycodocker import env

_NEVER_AGAIN = "shown once: keep it, then change it under the account menu"


def banner(people: Credentials, *, sample: str, seconds: float) -> str:
    """The text for the terminal."""
    password = f"{people.password}   ({_NEVER_AGAIN})" if people.password else "as shown at the first start"
    lines = [
        "",
        f"MycoDocker is ready after {seconds:.1f} s",
        "",
        f"  console    {env.public_url()}/admin/",
        f"  account    {people.user}",
        f"  password   {password}",
        f"  API key    {people.api_key}",
        "",
        "The two documented requests, ready to paste:",
        "",
        curl("clone", people.api_key, sample),
        "",
        curl("backup", people.api_key, sample),
        "",
        f"For scripts: {env.DATA_DIR / 'demo.env'}    Logs: {env.DATA_DIR / 'log'}/    Stop: Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def curl(action: str, key: str, sample: str) -> str:
    """One documented request as a line of shell."""
    body = json.dumps({"action": action, "containerId": sample or "my-container"})
    headers = f"-H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
    return f"curl -sS {env.public_url()}/api/docker/containers {headers} -d '{body}'"
