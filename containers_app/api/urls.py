"""Addresses of the REST interface. A slash at the end is not part of any of them."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from containers_app.api.containers import ContainerView
from containers_app.api.health import LiveView, ReadyView
from containers_app.api.hosts import HostsView, HostTestView, HostView
from containers_app.api.published import ContainersView
from containers_app.api.records import (
    BackupsView,
    BackupView,
    EntriesView,
    EntryView,
    OperationCancelView,
    OperationsView,
    OperationView,
)
from containers_app.api.stacks import StackCloneView, StacksView, StackView

# The page has no template for an answer to OPTIONS.
_DOCS = SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=["get", "head"])

urlpatterns = [
    path("api/docker/containers", ContainersView.as_view(), name="containers"),
    path("api/docker/containers/<str:reference>", ContainerView.as_view(), name="container"),
    path("api/operations", OperationsView.as_view(), name="operations"),
    path("api/operations/<uuid:operation_id>", OperationView.as_view(), name="operation"),
    path("api/operations/<uuid:operation_id>/cancel", OperationCancelView.as_view(), name="operation-cancel"),
    path("api/backups", BackupsView.as_view(), name="backups"),
    path("api/backups/<uuid:backup_id>", BackupView.as_view(), name="backup"),
    path("api/hosts", HostsView.as_view(), name="hosts"),
    path("api/hosts/<int:host_id>", HostView.as_view(), name="host"),
    path("api/hosts/<int:host_id>/test", HostTestView.as_view(), name="host-test"),
    path("api/ledger/entries", EntriesView.as_view(), name="ledger-entries"),
    path("api/ledger/entries/<int:index>", EntryView.as_view(), name="ledger-entry"),
    path("api/stacks", StacksView.as_view(), name="stacks"),
    path("api/stacks/clone", StackCloneView.as_view(), name="stack-clone"),
    path("api/stacks/<str:project>", StackView.as_view(), name="stack"),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs", _DOCS, name="docs"),
    path("livez", LiveView.as_view(), name="livez"),
    path("readyz", ReadyView.as_view(), name="readyz"),
]
