"""The only reader of the environment: every setting once, typed, with its default; a wrong value stops the start."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from environs import FileAwareEnv

BASE_DIR = Path(__file__).resolve().parent.parent
TWO_DATABASES = (
    "MYCO_DATABASE_URL is set but MYCO_AUDIT_DATABASE_URL is not: the ledger needs a second database of its own"
)
ROLES_OF_NOTHING = "MYCO_AUDIT_OWNER_URL and MYCO_AUDIT_PRUNER_URL are for a ledger that MYCO_AUDIT_DATABASE_URL names"

_env = FileAwareEnv(eager=False)
with _env.prefixed("MYCO_"):
    DATA_DIR = Path(_env.str("DATA_DIR", str(BASE_DIR / "var"))).absolute()
    DEBUG = _env.bool("DEBUG", False)
    PORT = _env.int("PORT", 8000)
    BIND = _env.str("BIND", "127.0.0.1")
    URL = _env.str("URL", "")
    SECRET_KEY = _env.str("SECRET_KEY", "")
    DATABASE_URL = _env.str("DATABASE_URL", "")
    AUDIT_DATABASE_URL = _env.str("AUDIT_DATABASE_URL", "")
    AUDIT_OWNER_URL = _env.str("AUDIT_OWNER_URL", "")
    AUDIT_PRUNER_URL = _env.str("AUDIT_PRUNER_URL", "")
    BROKER_URL = _env.str("BROKER_URL", "")
    BACKUP_ROOTS = _env.str("BACKUP_ROOTS", "/backups/containers")
    BACKUP_RESERVE_BYTES = _env.int("BACKUP_RESERVE_BYTES", 64 * 1024 * 1024)
    BIND_ROOTS = _env.str("BIND_ROOTS", "")
    TLS_ROOT = _env.str("TLS_ROOT", str(DATA_DIR / "tls"))
    CLONE_TIMEOUT_SECONDS = _env.float("CLONE_TIMEOUT_SECONDS", 5.0)
    BACKUP_TIMEOUT_SECONDS = _env.float("BACKUP_TIMEOUT_SECONDS", 300.0)
    ENGINE_CONNECT_SECONDS = _env.float("ENGINE_CONNECT_SECONDS", 5.0)
    ENGINE_CALL_SECONDS = _env.float("ENGINE_CALL_SECONDS", 60.0)
    STALL_SECONDS = _env.float("STALL_SECONDS", 30.0)
    LEASE_SECONDS = _env.float("LEASE_SECONDS", 30.0)
    RECONCILE_SECONDS = _env.float("RECONCILE_SECONDS", 30.0)
    INVENTORY_SECONDS = _env.float("INVENTORY_SECONDS", 60.0)
    VERIFY_BYTES_PER_DAY = _env.int("VERIFY_BYTES_PER_DAY", 1024**4)
    STALE_DAYS = _env.float("STALE_DAYS", 7.0)
    EXPORT_DAYS = _env.float("EXPORT_DAYS", 7.0)
    LEDGER_KEEP_YEARS = _env.int("LEDGER_KEEP_YEARS", 0)
    LEDGER_VERIFY_HOURS = _env.float("LEDGER_VERIFY_HOURS", 24.0)
    HELPER_IMAGE = _env.str("HELPER_IMAGE", "")
    MAX_WAITING_REQUESTS = _env.int("MAX_WAITING_REQUESTS", 8)
    MAX_ACTIVE_OPERATIONS = _env.int("MAX_ACTIVE_OPERATIONS", 200)
    TRUSTED_PROXIES = _env.int("TRUSTED_PROXIES", 0)
    WORKER_PROCESSES = _env.int("WORKER_PROCESSES", 2)
    ENVIRONMENT_NAME = _env.str("ENVIRONMENT_NAME", "")
    REQUIRE_REASON = _env.str("REQUIRE_REASON", "")
    REQUIRE_TICKET = _env.str("REQUIRE_TICKET", "")
    AUDIT_GUARDS = _env.bool("AUDIT_GUARDS", True)
    SIGNER_DIR = _env.str("SIGNER_DIR", str(DATA_DIR / "signer"))
    LEDGER_NAME = _env.str("LEDGER_NAME", "")
    CHECKPOINT_SECONDS = _env.float("CHECKPOINT_SECONDS", 3600.0)
    ANCHOR_SECONDS = _env.float("ANCHOR_SECONDS", 300.0)
    ANCHOR_DIR = _env.str("ANCHOR_DIR", "")
    ANCHOR_SYSLOG = _env.str("ANCHOR_SYSLOG", "")
    ANCHOR_EMAIL = _env.str("ANCHOR_EMAIL", "")
    ANCHOR_WEBHOOK = _env.str("ANCHOR_WEBHOOK", "")
    ANCHOR_WEBHOOK_KEY = _env.str("ANCHOR_WEBHOOK_KEY", "")
    ANCHOR_WITNESS = _env.str("ANCHOR_WITNESS", "")
    ANCHOR_WITNESS_VKEY = _env.str("ANCHOR_WITNESS_VKEY", "")
    ANCHOR_S3_ENDPOINT = _env.str("ANCHOR_S3_ENDPOINT", "")
    ANCHOR_S3_REGION = _env.str("ANCHOR_S3_REGION", "us-east-1")
    ANCHOR_S3_BUCKET = _env.str("ANCHOR_S3_BUCKET", "")
    ANCHOR_S3_PREFIX = _env.str("ANCHOR_S3_PREFIX", "")
    ANCHOR_S3_ACCESS_KEY = _env.str("ANCHOR_S3_ACCESS_KEY", "")
    ANCHOR_S3_SECRET_KEY = _env.str("ANCHOR_S3_SECRET_KEY", "")
    ANCHOR_S3_DAYS = _env.float("ANCHOR_S3_DAYS", 3650.0)
    ANCHOR_LATE_SECONDS = _env.float("ANCHOR_LATE_SECONDS", 86_400.0)
    SMTP_URL = _env.str("SMTP_URL", "")
    SENDFILE = _env.str("SENDFILE", "")
    AGE_IDENTITY = _env.str("AGE_IDENTITY", "")
_env.seal()


def secret_key() -> str:
    """MYCO_SECRET_KEY, or the key in `<data>/secrets/secret_key`, made at the first start, for its owner only."""
    if SECRET_KEY:
        return SECRET_KEY
    path = DATA_DIR / "secrets" / "secret_key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text()


def backup_roots() -> tuple[str, ...]:
    """The absolute folders of MYCO_BACKUP_ROOTS, separated by commas or colons; the first one is the default."""
    roots = tuple(root for root in re.split(r"[,:]", BACKUP_ROOTS) if root)
    if not roots or not all(root.startswith("/") for root in roots):
        raise ValueError("MYCO_BACKUP_ROOTS must hold absolute folders, separated by commas")
    return roots


def names(text: str) -> frozenset[str]:
    """The words of a setting, with commas between."""
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def bind_roots() -> tuple[str, ...]:
    """The absolute folders of MYCO_BIND_ROOTS, separated by commas; none means that no bind is backed up.

    A restore of files writes below them too.
    """
    roots = tuple(root.rstrip("/") or "/" for root in BIND_ROOTS.split(",") if root)
    if not all(root.startswith("/") and ".." not in root.split("/") for root in roots):
        raise ValueError("MYCO_BIND_ROOTS must hold absolute folders, separated by commas")
    return roots


def sendfile() -> str:
    """Empty, `apache`, or `nginx:` and the path of a location that only nginx itself can ask for."""
    if SENDFILE not in ("", "apache") and not re.fullmatch(r"nginx:(/[A-Za-z0-9._-]+)+", SENDFILE):
        raise ValueError("MYCO_SENDFILE must be 'apache', or 'nginx:' and a path such as '/protected'")
    return SENDFILE


def tls_root() -> str:
    """The absolute folder of MYCO_TLS_ROOT, below which registered hosts have their folders with certificates."""
    if not TLS_ROOT.startswith("/"):
        raise ValueError("MYCO_TLS_ROOT must be an absolute folder")
    return TLS_ROOT


def public_url() -> str:
    """Where people reach the console, without a slash at the end."""
    return (URL or f"http://127.0.0.1:{PORT}").rstrip("/")


def ledger_name() -> str:
    """MYCO_LEDGER_NAME, or the host name of the public address: what the origin of each checkpoint begins with."""
    name = LEDGER_NAME or urlsplit(public_url()).hostname or "localhost"
    if not re.fullmatch(r"[A-Za-z0-9._/-]{1,200}", name, re.ASCII):
        raise ValueError("MYCO_LEDGER_NAME must be letters, digits, '.', '_', '/' and '-', 200 at most")
    return name


def s3_endpoint() -> str:
    """MYCO_ANCHOR_S3_ENDPOINT, or Amazon's of the region, without a slash at the end; empty without a bucket."""
    if not ANCHOR_S3_BUCKET:
        return ""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", ANCHOR_S3_BUCKET, re.ASCII):
        raise ValueError("MYCO_ANCHOR_S3_BUCKET must be the name of a bucket: 3 to 63 of a-z, 0-9, '.' and '-'")
    if not ANCHOR_S3_ACCESS_KEY or not ANCHOR_S3_SECRET_KEY or not 0 < ANCHOR_S3_DAYS <= 36_500:
        raise ValueError(
            "MYCO_ANCHOR_S3_BUCKET needs MYCO_ANCHOR_S3_ACCESS_KEY, MYCO_ANCHOR_S3_SECRET_KEY and days up to 36500"
        )
    endpoint = ANCHOR_S3_ENDPOINT or f"https://s3.{ANCHOR_S3_REGION}.amazonaws.com"
    parsed = urlsplit(endpoint)
    if parsed.scheme not in ("http", "https") or not parsed.hostname or parsed.path.strip("/") or parsed.query:
        raise ValueError("MYCO_ANCHOR_S3_ENDPOINT must be 'https://' and a host, without a path")
    return endpoint.rstrip("/")


def smtp() -> dict[str, str | int | bool]:
    """The mail server of MYCO_SMTP_URL as Django's settings; the ports are 25, 465 and 587 unless it names one."""
    parsed = urlsplit(SMTP_URL)
    if SMTP_URL and (parsed.scheme not in ("smtp", "smtps", "smtp+tls") or not parsed.hostname):
        raise ValueError("MYCO_SMTP_URL must be 'smtp://', 'smtps://' or 'smtp+tls://' and a host")
    return {
        "EMAIL_HOST": parsed.hostname or "localhost",
        "EMAIL_PORT": parsed.port or {"smtps": 465, "smtp+tls": 587}.get(parsed.scheme, 25),
        "EMAIL_HOST_USER": unquote(parsed.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parsed.password or ""),
        "EMAIL_USE_SSL": parsed.scheme == "smtps",
        "EMAIL_USE_TLS": parsed.scheme == "smtp+tls",
        "DEFAULT_FROM_EMAIL": f"mycodocker@{urlsplit(public_url()).hostname or 'localhost'}",
    }


def allowed_hosts() -> list[str]:
    """The host names that requests may carry: the public one, and this machine's own."""
    return [name for name in {urlsplit(public_url()).hostname, "localhost", "127.0.0.1", "[::1]"} if name]


def broker_url() -> str:
    """MYCO_BROKER_URL, or the embedded broker's socket under the data folder."""
    if BROKER_URL.startswith("unix://"):
        return "redis+socket://" + BROKER_URL.removeprefix("unix://")
    return BROKER_URL or f"redis+socket://{DATA_DIR / 'run' / 'broker.sock'}"
