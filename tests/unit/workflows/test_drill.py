"""What a drill says of a backup: what it lacks, what was tried in it, and how long that took."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from containers_app.engine.exec_verbs import ExecEnd
from containers_app.errors import PermissionDenied
from containers_app.models import Backup
from containers_app.models.backups import BackupState
from containers_app.specs.hooks import Hook
from containers_app.specs.isolation import Limits, isolated
from containers_app.specs.saved import SavedConfiguration
from containers_app.workflows import drill
from containers_app.workflows.drill import DrillParams, recorded_drill, reopened_drill, sealed_drill
from containers_app.workflows.drill_evidence import Evidence
from containers_app.workflows.restore_plan import RestorePlan
from tests import recipes
from tests.unit.specs.inspects import Inspect
from tests.unit.workflows.stack_engine import Context, Reader, mounted, volume
from tests.unit.workflows.test_restore_plan import lost, part, planned

SECRET = "hunter2-very-secret"
FOLDER = {"Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": True}


def planned_drill(saved: Inspect, *parts: Any, reader: Any = None) -> RestorePlan:
    original = SavedConfiguration(
        container=saved, volumes={"data": volume("data", name="data", Labels={"keep": "this"})}
    )
    folders = frozenset(part.name for part in parts if part.kind == "bind")
    apart = isolated(original, network="drill-1", limits=Limits(), folders=folders)
    return planned(saved, *parts, reader=reader, name="drill-1-web", isolated=apart)


def test_its_volumes_are_named_after_the_drill_though_their_names_are_free() -> None:
    plan = planned_drill(lost(networks={"front": {}}), part("rootfs"), part("volume", "data"))
    (one,) = plan.prepared.volumes
    assert (one.target, dict(one.facts.labels)) == ("drill-1-web_data", {})
    assert [(network.name, network.internal) for network in plan.networks] == [("drill-1", True)]
    assert plan.prepared.powers == ()
    assert plan.whole


def test_a_folder_of_the_host_is_filled_into_a_volume_where_the_backup_has_it() -> None:
    saved = lost(host={"Binds": ["/srv:/srv", "data:/data"]}, Mounts=[FOLDER, mounted("data", "/data")])
    plan = planned_drill(saved, part("rootfs"), part("volume", "data"), part("bind", "/srv"))
    targets = {volume.destinations: volume.target for volume in plan.prepared.volumes}
    assert targets == {("/srv",): "drill-1-web_srv", ("/data",): "drill-1-web_data"}
    assert sorted(part.kind for part in plan.volumes.values()) == ["bind", "volume"]
    assert plan.prepared.plan.create.host.binds == ("drill-1-web_data:/data", "drill-1-web_srv:/srv:rw")
    assert plan.whole


def test_the_params_survive_a_row_without_what_is_write_only() -> None:
    params = DrillParams(backup="b", command=Hook(command=("check", SECRET)), nano_processors=5, stack=True)
    recorded = recorded_drill(params)
    assert SECRET not in repr((recorded, params))
    assert DrillParams(**reopened_drill(recorded, sealed_drill(params))) == params


class Asked:
    """An Engine on which commands end as they are told, and the clock with them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *ends: int | None) -> None:
        self.ends, self.now, self.limits = list(ends), 0.0, list[float]()
        monkeypatch.setattr(drill, "time", self)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run_exec(self, container: str, command: Any, *, timeout_seconds: float, tick: Any) -> ExecEnd:
        self.limits.append(timeout_seconds)
        return ExecEnd(exit_code=self.ends.pop(0) if len(self.ends) > 1 else self.ends[0], output=SECRET)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((0,), ""),
        ((1, 1, 0), ""),
        ((None,), "did not end in time"),
        ((127,), "could not be started (exit code 127): the container lacks the program"),
        ((3,), "still ended with exit code 3 after 5 s"),
    ],
)
def test_a_command_is_tried_until_it_ends_well_or_cannot(
    ends: tuple[int | None, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = Asked(monkeypatch, *ends)
    context: Any = SimpleNamespace(checkpoint=lambda: None)
    assert drill._tried(context, engine, "c", Hook(command=("check",)), limit_seconds=5) == words
    assert engine.limits[0] == 5
    assert min(engine.limits) >= 1


def test_a_command_of_one_s_own_needs_its_permission_before_anything_is_read() -> None:
    context: Any = Context(Reader(), may=False)
    with pytest.raises(PermissionDenied, match="command"):
        drill.drill(context, DrillParams(backup="b", command=Hook(command=("check",))))
    assert context.stages == []


def test_a_failure_has_all_that_is_known_and_the_step_in_which_it_happened() -> None:
    context: Any = Context(Reader())
    evidence = Evidence(context)
    with pytest.raises(ValueError, match="broken"), evidence.step("wait for web"):
        raise ValueError("broken")
    evidence.add_health("web", "UNHEALTHY")
    error = evidence.failed("it did not come up: web is unhealthy")
    assert "restore the backup under another name" in error.message
    assert (error.proof["passed"], error.proof["rtoSeconds"]) == (False, None)
    assert [step["name"] for step in error.proof["steps"]] == ["wait for web"]
    assert error.proof["health"] == [{"container": "web", "verdict": "UNHEALTHY"}]


@pytest.mark.django_db(databases=["default", "audit"])
def test_only_a_backup_that_is_still_there_becomes_proven() -> None:
    kept, gone = recipes.backup(), recipes.backup(file_name="other.tar", state=BackupState.CORRUPT)
    drill._prove([kept.pk, gone.pk])
    assert Backup.objects.get(pk=kept.pk).proven_at is not None
    assert Backup.objects.get(pk=gone.pk).proven_at is None


@pytest.mark.django_db(databases=["default", "audit"])
def test_the_age_is_that_of_the_oldest_backup() -> None:
    now = timezone.now()
    rows = [recipes.backup(created_at=now), recipes.backup(file_name="b", created_at=now - timedelta(hours=1))]
    opened: Any = tuple(SimpleNamespace(files=SimpleNamespace(backup=row)) for row in rows)
    assert 3600 <= drill._age_seconds(opened) < 3700
