"""What this machine can give to a test, and what it lacks and why: the one place where a test is skipped."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from ctypes.util import find_library
from pathlib import Path
from types import MappingProxyType

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Other versions of the Engine, by the name of their Debian suite, as bin/fetch-engines unpacks them.
ENGINES = Path(os.environ.get("MYCO_ENGINES") or PROJECT / "var" / "engines")
ENGINE_SUITES = ("trixie", "sid")
NAMESPACES = ("unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "true")


def find_program(*names: str) -> str | None:
    """The first of these programs that is installed, as an absolute path."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def _missing_programs(capability: str, *names: str) -> str | None:
    missing = [name for name in names if find_program(name) is None]
    if not missing:
        return None
    return f"not installed: {', '.join(missing)} (as root: bin/install-packages {capability})"


def _lack_of_engine() -> str | None:
    missing = _missing_programs(
        "engine", "dockerd", "containerd", "iptables", "ip", "curl", "busybox", "unshare", "pgrep"
    )
    if missing:
        return missing
    if os.geteuid() != 0:
        return "a private Docker Engine needs root"
    if subprocess.run(NAMESPACES, check=False, capture_output=True).returncode != 0:
        return "this machine does not allow namespaces of one's own"
    return None


def _lack_of_engines() -> str | None:
    missing = [suite for suite in ENGINE_SUITES if not (ENGINES / suite / "bin" / "dockerd").is_file()]
    if not missing:
        return _lack_of_engine()
    return f"not in {ENGINES}: the Engine of Debian {', '.join(missing)} (bin/install-packages engines)"


def compose_folder() -> Path:
    """Where bin/fetch-engines unpacks a command line with `docker compose`: `bin/docker` and `config` are below it."""
    return ENGINES / ENGINE_SUITES[0]


def _lack_of_compose() -> str | None:
    if (compose_folder() / "config" / "cli-plugins" / "docker-compose").is_file():
        return _lack_of_engine()
    return f"not in {ENGINES}: docker compose (bin/install-packages compose)"


def _lack_of_postgres() -> str | None:
    if any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or "PG_BIN" in os.environ:
        return None
    return "not installed: PostgreSQL's server (as root: bin/install-packages postgres)"


def _lack_of_redis() -> str | None:
    if find_program("redis-server", "valkey-server") or "REDIS_SERVER" in os.environ:
        return None
    return "not installed: Redis or Valkey (as root: bin/install-packages redis)"


def chromium() -> str | None:
    """The path of the installed Chromium, or None. MYCO_CHROMIUM names another one."""
    return os.environ.get("MYCO_CHROMIUM") or find_program("chromium", "chromium-browser", "google-chrome")


def _lack_of_browser() -> str | None:
    return None if chromium() else "not installed: Chromium (as root: bin/install-packages browser)"


def _lack_of_archivers() -> str | None:
    return _missing_programs("archivers", "age", "age-keygen", "gzip", "zstd", "jq")


def _lack_of_reports() -> str | None:
    missing = [name for name in ("pango-1.0", "pangoft2-1.0", "harfbuzz-subset") if find_library(name) is None]
    if missing:
        return f"not installed: the libraries {', '.join(missing)} (as root: bin/install-packages reports)"
    if not any(Path("/usr/share/fonts").rglob("DejaVuSans.ttf")):
        return "not installed: the font DejaVu (as root: bin/install-packages reports)"
    return None


REQUIREMENTS: Mapping[str, Callable[[], str | None]] = MappingProxyType(
    {
        "engine": _lack_of_engine,
        "engines": _lack_of_engines,
        "compose": _lack_of_compose,
        "postgres": _lack_of_postgres,
        "redis": _lack_of_redis,
        "browser": _lack_of_browser,
        "archivers": _lack_of_archivers,
        "reports": _lack_of_reports,
    }
)


@functools.cache
def lack_of(name: str) -> str | None:
    """Why this machine cannot give `name` (a key of REQUIREMENTS), or None when it can."""
    return REQUIREMENTS[name]()


def require(name: str) -> None:
    """Skip the running test with the reason where the machine lacks `name`; fail it where MYCO_REQUIRE names it."""
    reason = lack_of(name)
    if reason is None:
        return
    if name in os.environ.get("MYCO_REQUIRE", "").replace(" ", "").split(","):
        pytest.fail(f"MYCO_REQUIRE names {name}, and this machine lacks it: {reason}", pytrace=False)
    pytest.skip(f"{name}: {reason}")
