"""The product's settings as one frozen value; an unknown or missing key stops the start."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class Conf:
    """Every setting of the product. Times in seconds, sizes in bytes."""

    data_directory: str
    tls_root: str
    own_ports: frozenset[int]
    own_sockets: frozenset[str]
    backup_roots: tuple[str, ...]
    bind_roots: tuple[str, ...]
    backup_reserve_bytes: int
    clone_timeout_seconds: float
    backup_timeout_seconds: float
    engine_connect_seconds: float
    engine_call_seconds: float
    stall_seconds: float
    lease_seconds: float
    reconcile_seconds: float
    inventory_seconds: float
    verify_bytes_per_day: int
    stale_days: float
    export_days: float
    ledger_keep_years: int
    ledger_verify_hours: float
    helper_image: str
    max_waiting_requests: int
    max_active_operations: int
    trusted_proxies: int
    sendfile: str
    age_identity: str = field(repr=False)
    environment_name: str
    require_reason: frozenset[str]
    require_ticket: frozenset[str]
    public_url: str
    signer_directory: str
    ledger_name: str
    checkpoint_seconds: float
    anchor_seconds: float
    anchor_directory: str
    anchor_syslog: str
    anchor_email: str
    anchor_webhook: str
    anchor_webhook_key: str = field(repr=False)
    anchor_witness: str
    anchor_witness_vkey: str
    anchor_s3_endpoint: str
    anchor_s3_region: str
    anchor_s3_bucket: str
    anchor_s3_prefix: str
    anchor_s3_access_key: str
    anchor_s3_secret_key: str = field(repr=False)
    anchor_s3_days: float
    anchor_late_seconds: float

    @property
    def has_outside_anchor(self) -> bool:
        """Whether checkpoints are meant to leave this machine."""
        places = (
            self.anchor_syslog,
            self.anchor_email,
            self.anchor_webhook,
            self.anchor_witness,
            self.anchor_s3_bucket,
        )
        return any(places)


def load() -> Conf:
    """The settings as they are now. Raises TypeError that names an unknown or a missing key."""
    return Conf(**settings.MYCODOCKER)
