"""What is printed can be pasted, and shows the password at the first start only."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from containers_app.management.launch import banner
from containers_app.management.launch.people import Administrator
from containers_app.management.launch.places import Places

URL = "http://127.0.0.1:8000"


def test_the_two_requests_are_the_documented_ones() -> None:
    bodies = []
    for line in banner.requests(url=URL, api_key="myco_1_k", sample="web"):
        words = shlex.split(line)
        assert words[0] == "curl"
        assert f"{URL}/api/docker/containers" in words
        assert "Authorization: Bearer myco_1_k" in words
        bodies.append(json.loads(words[words.index("-d") + 1]))
    assert bodies == [
        {"action": "clone", "containerId": "web"},
        {"action": "backup", "containerId": "web"},
    ]


def test_the_first_start_shows_the_password() -> None:
    new = Administrator(name="admin", password="s3cret", is_new=True)
    assert any("s3cret" in line for line in banner.ready(url=URL, administrator=new, seconds=1))


def test_a_later_start_does_not() -> None:
    known = Administrator(name="admin", password="s3cret")
    lines = banner.ready(url=URL, administrator=known, seconds=1)
    assert not any("s3cret" in line for line in lines)
    assert any("changepassword admin" in line for line in lines)


def test_the_demonstration_names_its_file_and_key() -> None:
    places = Places(Path("/somewhere/var"))
    text = "\n".join(banner.demonstration(url=URL, api_key="myco_1_k", sample="", places=places))
    assert "/somewhere/var/demo.env" in text
    assert "myco_1_k" in text
    assert "my-container" in text
