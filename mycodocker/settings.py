"""Django's settings, from the one environment module. Values that a deployment may choose are in `env`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from mycodocker import env

BASE_DIR = env.BASE_DIR
DATA_DIR = env.DATA_DIR
DEBUG = env.DEBUG
SECRET_KEY = env.secret_key()
PUBLIC_URL = env.public_url()
ALLOWED_HOSTS = env.allowed_hosts()
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
ROOT_URLCONF = "mycodocker.urls"
WSGI_APPLICATION = "mycodocker.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"

INSTALLED_APPS = [
    "containers_app.apps.ContainersConfig",
    "containers_app.audit.apps.AuditConfig",
    "containers_app.admin.site.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "containers_app.api.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "containers_app.api.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "containers_app.api.middleware.LedgerMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]


_CACHE_KIBIBYTES = 128


def _sqlite(file_name: str, *, synchronous: str) -> dict[str, Any]:
    # Each thread has its own connection with its own cache, and the kernel has the pages anyway.
    pragmas = f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}; PRAGMA recursive_triggers=ON; "
    pragmas += f"PRAGMA cache_size=-{_CACHE_KIBIBYTES};"
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / file_name,
        # Closing the last connection folds the whole log into the file, so a new one for each request is dear.
        "CONN_MAX_AGE": 60,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": pragmas},
        "TEST": {"NAME": DATA_DIR / "test" / file_name},
    }


def _database(url: str, file_name: str, *, synchronous: str) -> dict[str, Any]:
    """The server that the URL names, or an SQLite file: the one of a `sqlite:///` URL, or the data folder's own."""
    if url and not url.startswith("sqlite:///"):
        return _server(url)
    return _sqlite(url.removeprefix("sqlite:///") or file_name, synchronous=synchronous)


def _server(url: str) -> dict[str, Any]:
    parsed: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    options = {
        "connect_timeout": 3,
        "tcp_user_timeout": 5000,
        "options": "-c statement_timeout=15000 -c lock_timeout=10000",
    }
    return {**parsed, "OPTIONS": {**parsed.get("OPTIONS", {}), **options}}


if env.DATABASE_URL and not env.AUDIT_DATABASE_URL:
    raise ImproperlyConfigured(env.TWO_DATABASES)
DATABASES = {
    "default": _database(env.DATABASE_URL, "db.sqlite3", synchronous="NORMAL"),
    "audit": _database(env.AUDIT_DATABASE_URL, "audit.sqlite3", synchronous="FULL"),
}
if (env.AUDIT_OWNER_URL or env.AUDIT_PRUNER_URL) and not env.AUDIT_DATABASE_URL:
    raise ImproperlyConfigured(env.ROLES_OF_NOTHING)
if env.AUDIT_PRUNER_URL:
    DATABASES["audit_pruner"] = _server(env.AUDIT_PRUNER_URL)
DATABASE_ROUTERS = ["containers_app.audit.router.AuditRouter"]
AUDIT_GUARDS = env.AUDIT_GUARDS
AUDIT_OWNER = _server(env.AUDIT_OWNER_URL) if env.AUDIT_OWNER_URL else None

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

_https = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 8 * 3600
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.TRUSTED_PROXIES else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
)

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "containers_app.api.auth.ApiKeyAuthentication",
        "containers_app.api.auth.ConsoleSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["containers_app.api.permissions.DenyAll"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "containers_app.api.negotiation.OneForm",
    "DEFAULT_PARSER_CLASSES": ["containers_app.api.strict_json.StrictJsonParser"],
    "DEFAULT_PAGINATION_CLASS": "containers_app.api.pagination.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "containers_app.api.problems.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "MycoDocker",
    "VERSION": "1",
    "OAS_VERSION": "3.0.3",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["containers_app.api.permissions.CanReadSystem"],
    "SERVE_PUBLIC": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

CELERY_BROKER_URL = env.broker_url()
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "socket_timeout": 3, "socket_connect_timeout": 2}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_DEFAULT_QUEUE = "local"


def own_ports(databases: Mapping[str, Mapping[str, Any]], broker_url: str) -> frozenset[int]:
    """Where our own database servers and our broker listen: a Docker host must not be one of them."""
    ports = [database.get("PORT") for database in databases.values() if database.get("HOST")]
    return frozenset(int(port) for port in (*ports, urlsplit(broker_url).port) if port)


def own_sockets(databases: Mapping[str, Mapping[str, Any]], broker_url: str) -> frozenset[str]:
    """The same for sockets in the file system."""
    local = [database for database in databases.values() if str(database.get("HOST", "")).startswith("/")]
    sockets = [f"{database['HOST']}/.s.PGSQL.{database.get('PORT') or 5432}" for database in local]
    broker = urlsplit(broker_url)
    return frozenset([*sockets, broker.path] if broker.scheme == "redis+socket" else sockets)


EMAIL_TIMEOUT = 10
vars().update(env.smtp())

MYCODOCKER: dict[str, Any] = {
    "data_directory": str(DATA_DIR),
    "tls_root": env.tls_root(),
    "own_ports": own_ports(DATABASES, CELERY_BROKER_URL),
    "own_sockets": own_sockets(DATABASES, CELERY_BROKER_URL),
    "backup_roots": env.backup_roots(),
    "bind_roots": env.bind_roots(),
    "backup_reserve_bytes": env.BACKUP_RESERVE_BYTES,
    "clone_timeout_seconds": env.CLONE_TIMEOUT_SECONDS,
    "backup_timeout_seconds": env.BACKUP_TIMEOUT_SECONDS,
    "engine_connect_seconds": env.ENGINE_CONNECT_SECONDS,
    "engine_call_seconds": env.ENGINE_CALL_SECONDS,
    "stall_seconds": env.STALL_SECONDS,
    "lease_seconds": env.LEASE_SECONDS,
    "reconcile_seconds": env.RECONCILE_SECONDS,
    "inventory_seconds": env.INVENTORY_SECONDS,
    "verify_bytes_per_day": env.VERIFY_BYTES_PER_DAY,
    "stale_days": env.STALE_DAYS,
    "export_days": env.EXPORT_DAYS,
    "ledger_keep_years": env.LEDGER_KEEP_YEARS,
    "ledger_verify_hours": env.LEDGER_VERIFY_HOURS,
    "helper_image": env.HELPER_IMAGE,
    "max_waiting_requests": env.MAX_WAITING_REQUESTS,
    "max_active_operations": env.MAX_ACTIVE_OPERATIONS,
    "trusted_proxies": env.TRUSTED_PROXIES,
    "sendfile": env.sendfile(),
    "age_identity": env.AGE_IDENTITY,
    "environment_name": env.ENVIRONMENT_NAME,
    "require_reason": env.names(env.REQUIRE_REASON),
    "require_ticket": env.names(env.REQUIRE_TICKET),
    "public_url": PUBLIC_URL,
    "signer_directory": env.SIGNER_DIR,
    "ledger_name": env.ledger_name(),
    "checkpoint_seconds": env.CHECKPOINT_SECONDS,
    "anchor_seconds": env.ANCHOR_SECONDS,
    "anchor_directory": env.ANCHOR_DIR,
    "anchor_syslog": env.ANCHOR_SYSLOG,
    "anchor_email": env.ANCHOR_EMAIL,
    "anchor_webhook": env.ANCHOR_WEBHOOK,
    "anchor_webhook_key": env.ANCHOR_WEBHOOK_KEY,
    "anchor_witness": env.ANCHOR_WITNESS,
    "anchor_witness_vkey": env.ANCHOR_WITNESS_VKEY,
    "anchor_s3_endpoint": env.s3_endpoint(),
    "anchor_s3_region": env.ANCHOR_S3_REGION,
    "anchor_s3_bucket": env.ANCHOR_S3_BUCKET,
    "anchor_s3_prefix": env.ANCHOR_S3_PREFIX,
    "anchor_s3_access_key": env.ANCHOR_S3_ACCESS_KEY,
    "anchor_s3_secret_key": env.ANCHOR_S3_SECRET_KEY,
    "anchor_s3_days": env.ANCHOR_S3_DAYS,
    "anchor_late_seconds": env.ANCHOR_LATE_SECONDS,
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "mycodocker.logs.JsonLines"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security": {"level": "ERROR"},
        "urllib3": {"level": "WARNING"},
        "docker": {"level": "WARNING"},
        "weasyprint": {"level": "ERROR"},  # it tells of every page that it sets
        "fontTools": {"level": "ERROR"},
    },
}

for folder in (Path(DATA_DIR), STATIC_ROOT):
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
