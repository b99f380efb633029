"""The demonstration's Engine: the one that this machine names, else a private one; else what to do instead."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from containers_app.errors import MycoError
from containers_app.management.launch import samples
from containers_app.management.launch.engine_calls import EngineCalls
from containers_app.management.launch.failures import CannotStart
from containers_app.management.launch.places import PROJECT, Places
from containers_app.management.launch.progress import Progress
from containers_app.specs.endpoint import Endpoint, endpoint_candidates

# bin/engine's own limit: a socket's path has 107 bytes.
FOLDER_LIMIT_BYTES = 95
PING_SECONDS = 2.0
# bin/engine's own: 15 s for an orderly end, then 8 s for a kill.
STOP_SECONDS = 25.0
_NAMING = ("DOCKER_API_URL", "DOCKER_HOST")
_NO_PRIVATE = "No Docker Engine answers, and a private one did not start."
_OTHERWISE = (
    "Start Docker, or name an Engine (DOCKER_HOST=unix:///path/docker.sock or DOCKER_HOST=tcp://host:port), "
    "then start again."
)


@dataclass(frozen=True, kw_only=True)
class EngineFound:
    """The Engine in use: `url` for DOCKER_HOST, empty when there is none; then `advice` says what to do.

    `sample`: the name of a sample container, empty when there is none. `private`: ours to stop.
    """

    url: str = ""
    sample: str = ""
    private: bool = False
    advice: str = ""

    def as_environment(self) -> dict[str, str]:
        """What tells another process about it; the variable that would have been preferred is empty then."""
        return {"DOCKER_HOST": self.url, "DOCKER_API_URL": ""} if self.private else {}


@contextmanager
def engine(places: Places, progress: Progress, environment: Mapping[str, str]) -> Iterator[EngineFound]:
    """Choose the Engine; `bring_up` starts a private one. Leaving the context stops it and keeps its data."""
    named = _named(environment)
    answering = named is not None and EngineCalls(named, PING_SECONDS).answers()
    if named is not None and answering and not _is_private(named, places):
        progress.say(f"The Docker Engine at {named.url} answers and is used.")
        yield EngineFound(url=_spelled(environment, named))
        return
    if named is not None and not answering:
        progress.say(f"The Docker Engine at {named.url} does not answer.")
    found = _private(places, progress)
    if not found.private:
        yield replace(found, url=_spelled(environment, named) if named else "")
        return
    try:
        yield found
    finally:
        with progress.step(f"Stopping the private Docker Engine (at most {STOP_SECONDS:g} s; its data stays)"):
            _script("engine", "stop", str(folder_of(places)), seconds=STOP_SECONDS)


def bring_up(found: EngineFound, places: Places, progress: Progress) -> EngineFound:
    """Start a private Engine, and make sure of the samples; without an Engine, or samples, it says what to do."""
    if found.advice:
        return found
    if found.private:
        try:
            with progress.step("Starting a private Docker Engine in var/engine"):
                _script("engine", "start", str(folder_of(places)))
        except CannotStart as error:
            return replace(found, advice=f"{_NO_PRIVATE} {error.message}\n{_OTHERWISE}")
    return _with_samples(found, progress)


def reachable(environment: Mapping[str, str]) -> bool:
    """Whether the Engine that the environment or the machine's socket names answers."""
    named = _named(environment)
    return named is not None and EngineCalls(named, PING_SECONDS).answers()


def folder_of(places: Places) -> Path:
    """Where the private Engine is: in the data folder; where that path is too long for a socket, behind a link there.

    Raises CannotStart when the short folder belongs to somebody else.
    """
    own = places.engine
    real = Path(os.path.realpath(own))
    if not own.is_symlink() and _fits(real):
        return real
    short = Path("/tmp") / f"myco-demo-{hashlib.sha256(bytes(own)).hexdigest()[:10]}"  # noqa: S108 - its owner is checked
    short.mkdir(mode=0o700, exist_ok=True)
    if short.is_symlink() or short.lstat().st_uid != os.geteuid():
        raise CannotStart(f"{short} belongs to somebody else: set MYCO_DATA_DIR to a folder with a shorter path.")
    if not own.is_symlink():
        own.symlink_to(short)
    return short


def _fits(folder: Path) -> bool:
    return len(bytes(folder)) <= FOLDER_LIMIT_BYTES and not folder.is_relative_to("/run")


def _named(environment: Mapping[str, str]) -> Endpoint | None:
    """What the environment names, or the machine's socket; nothing when there is neither."""
    exists = lambda path: Path(path).exists()  # noqa: E731 - one word for one question
    try:
        found = endpoint_candidates(environment, platform=sys.platform, exists=exists)[0]
    except MycoError as error:
        raise CannotStart(error.message) from error
    return found if found.scheme == "unix" or any(environment.get(name) for name in _NAMING) else None


def _spelled(environment: Mapping[str, str], endpoint: Endpoint) -> str:
    """The address as its variable spells it, which the docker command knows how to read."""
    return next((environment[name] for name in _NAMING if environment.get(name)), endpoint.url)


def _is_private(endpoint: Endpoint, places: Places) -> bool:
    """Named by the file of an earlier start, perhaps: it is ours all the same."""
    return os.path.realpath(endpoint.address) == os.path.realpath(places.engine / "docker.sock")


def _obstacle() -> str:
    """Why no private Engine can be started here, and what to do; empty when it can."""
    if sys.platform != "linux":
        return f"No Docker Engine answers. {_OTHERWISE}"
    if os.geteuid() != 0:
        return f"No Docker Engine answers, and a private one needs root. {_OTHERWISE} Or, as root: make demo"
    if not Path("/usr/bin/apt-get").exists():
        return f"No Docker Engine answers, and a private one comes from the packages of Debian or Ubuntu. {_OTHERWISE}"
    return ""


def _private(places: Places, progress: Progress) -> EngineFound:
    """Whether a private Engine can be started here, and where it will be."""
    obstacle = _obstacle()
    if obstacle:
        return EngineFound(advice=obstacle)
    try:
        with progress.step("Looking for the programs of a private Docker Engine; what is missing is installed now"):
            (places.log / "install.log").write_text(_script("install-packages", "engine"))
        return EngineFound(url=_script("engine", "sock", str(folder_of(places))).strip(), private=True)
    except CannotStart as error:
        return EngineFound(advice=f"{_NO_PRIVATE} {error.message}\n{_OTHERWISE}")


def _with_samples(found: EngineFound, progress: Progress) -> EngineFound:
    """With the samples, or with a line that says why not: the Engine is of use without them."""
    try:
        endpoint = endpoint_candidates({**os.environ, **found.as_environment()}, platform=sys.platform, exists=bool)[0]
        calls = EngineCalls(endpoint)
        with progress.step(f"Making sure of two sample containers, {samples.WEB} and {samples.STORE}"):
            if calls.call("GET", f"/images/{samples.IMAGE}/json").status == 404:
                _script("sample-image", endpoint.url, samples.IMAGE)
            samples.ensure(calls)
    except MycoError as error:
        progress.say(f"There are no sample containers: {error.message}")
        return found
    return replace(found, sample=samples.WEB)


def _script(name: str, *arguments: str, seconds: float | None = None) -> str:
    """Run bin/`name`; what it printed. Raises CannotStart with its complaint, or after `seconds`."""
    command = (str(PROJECT / "bin" / name), *arguments)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            output, complaint = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise CannotStart(f"bin/{name} has not ended after {seconds:g} s: {' '.join(command)}") from error
        except KeyboardInterrupt:
            # A killed script could not put back what it had changed for the time of its work.
            process.terminate()
            raise
    if process.returncode:
        raise CannotStart(f"bin/{name}: {complaint.strip()[-600:] or f'it ended with {process.returncode}'}")
    return output
