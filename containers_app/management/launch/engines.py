"""The demonstration's Engine: the one that the environment names, else a private throwaway one with two samples."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from containers_app.conf import load
from containers_app.engine.connection import EngineLimits, open_reader
from containers_app.errors import MycoError
from containers_app.operations.hosts import local_endpoint
from mycodocker import env

SAMPLE, SECOND_SAMPLE = "myco-sample-web", "myco-sample-store"
_IMAGE, _NETWORK = "mycodocker/sample:1", "myco-sample"
_LONGEST_FOLDER_BYTES = 66
_PRIVATE = "engine"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class EngineFound:
    """Which Engine is used. `problem` says what to do when none answers; `private` when it is ours to stop."""

    url: str
    sample: str
    private: bool = False
    problem: str = ""


def find_engine(say: Say) -> EngineFound:
    """The Engine that the environment names; when it does not answer, a private one where this machine allows it."""
    named = local_endpoint().url
    trouble = trouble_with_engine()
    if trouble is None:
        return EngineFound(url=named, sample=_any_container())
    say(f"no Docker Engine answers at {named}")
    problem = _why_no_private_engine()
    if problem:
        return EngineFound(url=named, sample="", problem=problem)
    try:
        return _private_engine(say)
    except subprocess.CalledProcessError as error:
        words = f"{Path(error.cmd[0]).name} failed: {(error.stderr or '').strip()[-400:]}"
        return EngineFound(url=named, sample="", problem=f"{words}\nSet DOCKER_API_URL to an Engine, then start again.")


def trouble_with_engine() -> str | None:
    """Why the Engine that the environment names does not answer; None when it does."""
    limits = EngineLimits(connect_seconds=2.0, call_seconds=2.0, stall_seconds=2.0)
    try:
        with open_reader(local_endpoint(), limits) as reader:
            reader.ping()
    except MycoError as error:
        return error.message
    return None


def stop_private_engine() -> None:
    """Stop it and keep its data."""
    _run("engine", "stop", str(env.DATA_DIR / _PRIVATE))


def _any_container() -> str:
    limits = EngineLimits(connect_seconds=2.0, call_seconds=load().engine_call_seconds)
    with open_reader(local_endpoint(), limits) as reader:
        return next((summary.name for summary in reader.containers()), "")


def _why_no_private_engine() -> str:
    """Empty when a private Engine can be started here, else what the reader can do instead."""
    advice = "Start Docker, or set DOCKER_API_URL (unix:///path or http://host:port), then start again."
    if os.geteuid() != 0:
        return f"A private Engine needs root. {advice}"
    if not shutil.which("apt-get"):
        return f"A private Engine is installed on Debian and Ubuntu only. {advice}"
    return ""


def _private_engine(say: Say) -> EngineFound:
    if not all(shutil.which(program) for program in ("dockerd", "docker", "busybox", "ip", "curl")):
        say("installing the packages of a private Engine (docker.io)")
        _run("install-packages", "engine")
    folder = _folder()
    say("starting a private Engine under var/ (make engine-stop removes every trace)")
    _run("engine", "start", str(folder))
    url = _run("engine", "sock", str(folder)).strip()
    os.environ["DOCKER_HOST"] = url
    os.environ.pop("DOCKER_API_URL", None)
    _make_samples(url, say)
    return EngineFound(url=url, sample=SAMPLE, private=True)


def _folder() -> Path:
    """Below the data folder; a link to a short place where the path is too long for the Engine's sockets."""
    folder = env.DATA_DIR / _PRIVATE
    if len(os.fsencode(folder)) > _LONGEST_FOLDER_BYTES and not folder.exists():
        short = Path("/var/tmp") / f"myco-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"  # noqa: S108 - by hash
        short.mkdir(mode=0o700, exist_ok=True)
        folder.unlink(missing_ok=True)
        folder.symlink_to(short)
    return folder


def _make_samples(url: str, say: Say) -> None:
    say("making two sample containers")
    _run("sample-image", url, _IMAGE)
    docker = ("docker", "--host", url)
    names = _call(*docker, "ps", "--all", "--format", "{{.Names}}").split()
    if _NETWORK not in _call(*docker, "network", "ls", "--format", "{{.Name}}").split():
        _call(*docker, "network", "create", _NETWORK)
    if SAMPLE not in names:
        place = ("--network", _NETWORK, "--publish", "8080:80", "--volume", "myco-sample-data:/data")
        about = ("--env", "GREETING=hello", "--label", "org.example.purpose=sample")
        serve = ("busybox", "httpd", "-f", "-p", "80", "-h", "/var/www")
        _call(*docker, "run", "--detach", "--name", SAMPLE, *place, *about, _IMAGE, *serve)
    if SECOND_SAMPLE not in names:
        health = ("--health-cmd", "test -d /tmp", "--health-interval", "30s")
        _call(*docker, "run", "--detach", "--name", SECOND_SAMPLE, "--network", _NETWORK, *health, _IMAGE)
    _call(*docker, "start", SAMPLE, SECOND_SAMPLE)


def _run(script: str, *arguments: str) -> str:
    return _call(str(env.BASE_DIR / "bin" / script), *arguments)


def _call(*command: str) -> str:
    done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.stdout
