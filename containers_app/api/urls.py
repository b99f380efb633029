"""Addresses of the REST interface. A slash at the end is not part of any of them."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from containers_app.api.backup_contents import CompareView, ContentView, DownloadView, FilesView, LinksView
from containers_app.api.backup_keeping import (
    BackupHoldView,
    BackupPinView,
    BackupReleaseView,
    BackupUnpinView,
    BackupVerifyView,
    BackupView,
    OrphanAdoptView,
    OrphansView,
)
from containers_app.api.backups import BackupDrillView, BackupRestoreView
from containers_app.api.containers import ContainerView
from containers_app.api.coverage import CoverageView
from containers_app.api.health import LiveView, ReadyView
from containers_app.api.hosts import HostsView, HostTestView, HostView
from containers_app.api.ledger_exports import ExportContentView, ExportsView
from containers_app.api.ledger_keeping import ErasuresView, HoldReleaseView, HoldsView
from containers_app.api.ledger_proofs import CheckpointView, ConsistencyView, EntryProofView
from containers_app.api.ledger_verifications import LedgerVerifyView
from containers_app.api.ledger_views import LedgerViewsView, LedgerViewView, ReviewsView
from containers_app.api.published import ContainersView
from containers_app.api.records import (
    BackupsView,
    EntriesView,
    EntryView,
    OperationCancelView,
    OperationsView,
    OperationView,
)
from containers_app.api.stacks import StackBackupView, StackCloneView, StackRestoreView, StacksView, StackView
from containers_app.api.trends import ContainerTrendsView

# The page has no template for an answer to OPTIONS.
_DOCS = SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=["get", "head"])

urlpatterns = [
    path("api/docker/containers", ContainersView.as_view(), name="containers"),
    path("api/docker/containers/<str:reference>", ContainerView.as_view(), name="container"),
    path("api/docker/containers/<str:reference>/trends", ContainerTrendsView.as_view(), name="container-trends"),
    path("api/operations", OperationsView.as_view(), name="operations"),
    path("api/operations/<uuid:operation_id>", OperationView.as_view(), name="operation"),
    path("api/operations/<uuid:operation_id>/cancel", OperationCancelView.as_view(), name="operation-cancel"),
    path("api/backups", BackupsView.as_view(), name="backups"),
    path("api/backups/<uuid:backup_id>", BackupView.as_view(), name="backup"),
    path("api/backups/<uuid:backup_id>/restore", BackupRestoreView.as_view(), name="backup-restore"),
    path("api/backups/<uuid:backup_id>/verify", BackupVerifyView.as_view(), name="backup-verify"),
    path("api/backups/<uuid:backup_id>/pin", BackupPinView.as_view(), name="backup-pin"),
    path("api/backups/<uuid:backup_id>/unpin", BackupUnpinView.as_view(), name="backup-unpin"),
    path("api/backups/<uuid:backup_id>/hold", BackupHoldView.as_view(), name="backup-hold"),
    path("api/backups/<uuid:backup_id>/release", BackupReleaseView.as_view(), name="backup-release"),
    path("api/backups/orphans", OrphansView.as_view(), name="orphans"),
    path("api/backups/orphans/adopt", OrphanAdoptView.as_view(), name="orphan-adopt"),
    path("api/backups/<uuid:backup_id>/drill", BackupDrillView.as_view(), name="backup-drill"),
    path("api/backups/<uuid:backup_id>/files", FilesView.as_view(), name="backup-files"),
    path("api/backups/<uuid:backup_id>/content", ContentView.as_view(), name="backup-content"),
    path("api/backups/<uuid:backup_id>/links", LinksView.as_view(), name="backup-links"),
    path("api/backups/<uuid:backup_id>/compare", CompareView.as_view(), name="backup-compare"),
    path("api/coverage", CoverageView.as_view(), name="coverage"),
    path("api/hosts", HostsView.as_view(), name="hosts"),
    path("api/hosts/<int:host_id>", HostView.as_view(), name="host"),
    path("api/hosts/<int:host_id>/test", HostTestView.as_view(), name="host-test"),
    path("api/ledger/entries", EntriesView.as_view(), name="ledger-entries"),
    path("api/ledger/entries/<int:index>", EntryView.as_view(), name="ledger-entry"),
    path("api/ledger/exports", ExportsView.as_view(), name="ledger-exports"),
    path("api/ledger/exports/<uuid:operation_id>/content", ExportContentView.as_view(), name="ledger-export-content"),
    path("api/ledger/entries/<int:index>/proof", EntryProofView.as_view(), name="ledger-proof"),
    path("api/ledger/entries/<int:index>/reviews", ReviewsView.as_view(), name="ledger-reviews"),
    path("api/ledger/views", LedgerViewsView.as_view(), name="ledger-views"),
    path("api/ledger/views/<int:view_id>", LedgerViewView.as_view(), name="ledger-view"),
    path("api/ledger/verify", LedgerVerifyView.as_view(), name="ledger-verify"),
    path("api/ledger/checkpoint", CheckpointView.as_view(), name="ledger-checkpoint"),
    path("api/ledger/consistency", ConsistencyView.as_view(), name="ledger-consistency"),
    path("api/ledger/holds", HoldsView.as_view(), name="ledger-holds"),
    path("api/ledger/holds/<uuid:hold_id>/release", HoldReleaseView.as_view(), name="ledger-hold-release"),
    path("api/ledger/erasures", ErasuresView.as_view(), name="ledger-erasures"),
    path("api/stacks", StacksView.as_view(), name="stacks"),
    path("api/stacks/clone", StackCloneView.as_view(), name="stack-clone"),
    path("api/stacks/backup", StackBackupView.as_view(), name="stack-backup"),
    path("api/stacks/restore", StackRestoreView.as_view(), name="stack-restore"),
    path("api/stacks/<str:project>", StackView.as_view(), name="stack"),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs", _DOCS, name="docs"),
    path("download/<str:token>", DownloadView.as_view(), name="download"),
    path("livez", LiveView.as_view(), name="livez"),
    path("readyz", ReadyView.as_view(), name="readyz"),
]
