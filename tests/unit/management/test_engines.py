"""Which Engine the demonstration takes, and what it says where it can have none."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from containers_app.errors import EngineError, EngineUnavailable
from containers_app.management.launch import engines, samples
from containers_app.management.launch.engine_calls import EngineCalls
from containers_app.management.launch.failures import CannotStart
from containers_app.management.launch.places import Places
from containers_app.management.launch.progress import Progress
from containers_app.specs.endpoint import Endpoint


class Lines:
    """A terminal that keeps what it is given."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, msg: str = "", *, ending: str | None = None) -> None:
        self.text += msg + ("\n" if ending is None else ending)

    def flush(self) -> None:
        """Nothing is held back."""


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A small Engine that knows the calls of the samples and remembers what it was asked to make."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        self.calls: list[tuple[str, str]] = []
        self.containers: dict[str, bool] = {}
        self.networks: set[str] = set()
        self.refuse = ""
        super().__init__(path, Handler)


class Handler(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        name = self.path.split("/")[2] if self.path.count("/") > 1 else ""
        if self.path.startswith("/containers/") and name in self.server.containers:
            return self.reply(200, {"State": {"Running": self.server.containers[name]}})
        if self.path == "/_ping" or self.path.startswith("/images/") or name in self.server.networks:
            return self.reply(200, {})
        return self.reply(404, {"message": "no such thing"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self.server.calls.append(("POST", self.path))
        if self.server.refuse and self.path.startswith(self.server.refuse):
            return self.reply(409, {"message": "refused by the Engine"})
        if self.path == "/networks/create":
            self.server.networks.add(body["Name"])
        elif self.path.startswith("/containers/create"):
            self.server.containers[self.path.split("name=")[1]] = False
        elif self.path.endswith("/start"):
            self.server.containers[self.path.split("/")[2]] = True
        return self.reply(201, {})

    def reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Engine(f"{folder}/docker.sock") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def url(engine: Engine) -> str:
    return f"unix://{engine.server_address!s}"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "var")
    made.prepare()
    return made


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user without root's rights."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def chosen(places: Places, lines: Lines, **environment: str) -> engines.EngineFound:
    with engines.engine(places, Progress(lines), environment) as found:
        return found


def test_an_engine_that_answers_is_used_and_its_address_kept_as_written(places: Places, lines: Lines, url: str) -> None:
    assert chosen(places, lines, DOCKER_HOST=url) == engines.EngineFound(url=url)
    assert "answers and is used" in lines.text


@pytest.mark.usefixtures("nobody")
def test_the_product_variable_goes_before_docker_s(places: Places, lines: Lines, url: str) -> None:
    found = chosen(places, lines, DOCKER_API_URL="unix:///nonexistent.sock", DOCKER_HOST=url)
    assert found.advice
    assert "unix:///nonexistent.sock does not answer" in lines.text


@pytest.mark.usefixtures("nobody")
def test_without_an_engine_and_without_root_it_says_what_to_do(places: Places, lines: Lines) -> None:
    found = chosen(places, lines, DOCKER_HOST="unix:///nonexistent.sock")
    assert not found.private
    assert "a private one needs root" in found.advice
    assert "make demo" in found.advice
    assert "DOCKER_HOST=unix://" in found.advice


@pytest.mark.usefixtures("nobody")
def test_without_an_engine_nothing_is_brought_up(places: Places, lines: Lines) -> None:
    found = chosen(places, lines, DOCKER_HOST="unix:///nonexistent.sock")
    assert engines.bring_up(found, places, Progress(lines)) == found


def test_a_malformed_address_is_a_sentence_that_names_the_variable(places: Places, lines: Lines) -> None:
    with pytest.raises(CannotStart, match="DOCKER_HOST"):
        chosen(places, lines, DOCKER_HOST="http://user:password@host")


def test_a_private_engine_hides_the_variable_that_would_go_before_it() -> None:
    found = engines.EngineFound(url="unix:///run/x.sock", private=True)
    assert found.as_environment() == {"DOCKER_HOST": "unix:///run/x.sock", "DOCKER_API_URL": ""}
    assert engines.EngineFound(url="unix:///run/x.sock").as_environment() == {}


def test_a_short_path_holds_the_private_engine_itself(tmp_path: Path) -> None:
    places = Places(tmp_path)
    assert engines.folder_of(places) == tmp_path / "engine"


@pytest.fixture
def long_places(tmp_path: Path) -> Iterator[Places]:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    places = Places(folder)
    yield places
    with contextlib.suppress(OSError):
        places.engine.readlink().rmdir()


def test_a_long_path_holds_a_link_to_a_short_one(long_places: Places) -> None:
    short = engines.folder_of(long_places)
    assert len(bytes(short)) < 40
    assert short.stat().st_mode & 0o777 == 0o700
    assert long_places.engine.readlink() == short
    assert engines.folder_of(long_places) == short


def test_a_short_folder_of_somebody_else_is_not_used(long_places: Places) -> None:
    short = engines.folder_of(long_places)
    os.chown(short, 65534, 65534)
    with pytest.raises(CannotStart, match="belongs to somebody else"):
        engines.folder_of(long_places)


def test_the_samples_are_made_once(engine: Engine, url: str) -> None:
    calls = EngineCalls(Endpoint.parse(url))
    samples.ensure(calls)
    assert engine.containers == {samples.WEB: True, samples.STORE: True}
    made = len(engine.calls)
    samples.ensure(calls)
    assert engine.calls[made:] == [("POST", "/volumes/create")]


def test_a_stopped_sample_is_started_and_not_made_again(engine: Engine, url: str) -> None:
    calls = EngineCalls(Endpoint.parse(url))
    samples.ensure(calls)
    engine.containers[samples.STORE] = False
    engine.calls.clear()
    samples.ensure(calls)
    assert ("POST", f"/containers/{samples.STORE}/start") in engine.calls
    assert not any("create?" in path for _, path in engine.calls)


def test_what_the_engine_refuses_is_told_and_the_console_goes_on(
    engine: Engine, url: str, places: Places, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    monkeypatch.delenv("DOCKER_API_URL", raising=False)
    engine.refuse = "/networks/create"
    with pytest.raises(EngineError, match="refused by the Engine"):
        samples.ensure(EngineCalls(Endpoint.parse(url)))
    found = engines.bring_up(engines.EngineFound(url=url), places, Progress(lines))
    assert found.sample == ""
    assert "There are no sample containers: refused by the Engine" in lines.text


def test_a_good_engine_gets_the_samples(
    url: str, places: Places, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    monkeypatch.delenv("DOCKER_API_URL", raising=False)
    assert engines.bring_up(engines.EngineFound(url=url), places, Progress(lines)).sample == samples.WEB


def test_an_engine_that_is_away_is_one_error() -> None:
    calls = EngineCalls(Endpoint.parse("unix:///nonexistent.sock"))
    assert not calls.answers()
    with pytest.raises(EngineUnavailable, match=r"unix:///nonexistent\.sock does not answer"):
        calls.call("GET", "/_ping")
