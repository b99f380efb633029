"""The modules that register pages with the site, imported together."""

from containers_app.admin import access, backups, containers, hosts, ledger, operations, users

__all__ = ["access", "backups", "containers", "hosts", "ledger", "operations", "users"]
