"""A restore is planned like a clone whose source is gone: what the backup knows, and what the Engine has now."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from containers_app.archives.manifest import Part
from containers_app.errors import InvalidRequest
from containers_app.specs.engine import Holding
from containers_app.specs.overrides import read_overrides
from containers_app.specs.saved import SavedConfiguration
from containers_app.workflows.restore_plan import RestorePlan, Wanted, plan_restore
from tests.unit.specs.inspects import IMAGE_ID, Inspect
from tests.unit.workflows.stack_engine import Context, Reader, container, id_of, mounted, network, port, volume

OTHER_IMAGE = "sha256:" + "9" * 64


def part(kind: str, name: str = "web") -> Part:
    figures: Any = {"size_bytes": 10, "stored_bytes": 10, "sha256": "0" * 64, "stored_sha256": "0" * 64}
    return Part(kind=kind, name=name, path=f"{kind}-{name}", members=1, **figures)


def lost(**more: Any) -> Inspect:
    """A container named `web` that no Engine has any more, with the volume `data` at /data."""
    given: Inspect = {"name": "web", "host": {"Binds": ["data:/data:z"]}, "Mounts": [mounted("data", "/data")], **more}
    return container("web", **given)


class Files:
    """A backup: its parts, and what it says of the container."""

    def __init__(self, saved: SavedConfiguration, *parts: Part) -> None:
        self.saved, self.every = saved, parts
        identity = SimpleNamespace(platform="linux/amd64", name="web")
        self.manifest = SimpleNamespace(engine_version="26.1.5", api_version="1.45", container=identity)

    def parts(self, *kinds: str) -> tuple[Part, ...]:
        return tuple(part for part in self.every if part.kind in kinds)

    def configuration(self) -> SavedConfiguration:
        return self.saved


def planned(
    saved: Inspect | None = None,
    *parts: Part,
    reader: Any = None,
    networks: Any = None,
    image: Inspect | None = None,
    **wanted: Any,
) -> RestorePlan:
    configuration = SavedConfiguration(
        container=saved or lost(),
        volumes={"data": volume("data", name="data", Labels={"keep": "this"})},
        networks=networks or {},
        image=image or {"Id": IMAGE_ID, "RepoTags": ["image:1"]},
    )
    files: Any = Files(configuration, *(parts or (part("rootfs"), part("volume", "data"))))
    context: Any = Context(reader)
    engine: Any = reader or Reader()
    plain: Any = {"name": "web", "parts": None, "overrides": read_overrides({}), "bound": {}}
    return plan_restore(context, engine, files, Wanted(**{**plain, **wanted}))


def kinds(plan: RestorePlan) -> list[tuple[str, str | None]]:
    return [(collision.kind, collision.blocks) for collision in plan.prepared.collisions]


def codes(plan: RestorePlan) -> list[str]:
    return [warning.code for warning in plan.prepared.document.warnings]


def test_what_the_backup_has_comes_back_under_its_names() -> None:
    plan = planned()
    assert (plan.prepared.plan.name, plan.image.kind, kinds(plan), codes(plan)) == ("web", "rootfs", [], [])
    (one,) = plan.prepared.volumes
    assert (one.target, one.treatment, dict(one.facts.labels)) == ("data", "copy", {"keep": "this"})
    assert [part.kind for part in plan.parts] == ["rootfs", "volume"]
    assert plan.whole


def test_a_volume_that_is_there_is_not_touched() -> None:
    plan = planned(reader=Reader(volumes=[volume("data", name="data")]))
    assert plan.prepared.volumes[0].target == "data_2"
    assert codes(plan) == ["VOLUME_RENAMED"]


def test_names_and_ports_of_others_stand_in_the_way() -> None:
    reader = Reader()
    reader.held = [Holding(id="f" * 64, name="web", running=True, ports=(("0.0.0.0", 80, "tcp"),))]
    saved = lost(host={"PortBindings": port(80, "80"), "NetworkMode": "bridge"}, Mounts=[])
    reader.raw_networks = {id_of("bridge"): network("", name="bridge")}
    assert kinds(planned(saved, reader=reader)) == [("name", "create"), ("port", "start")]
    assert kinds(planned(saved, reader=reader, replaces="f" * 64)) == []


@pytest.mark.parametrize(
    ("parts", "image", "expected"),
    [
        ((part("rootfs"), part("image")), {}, "rootfs"),
        ((part("image"),), {}, "set"),
        ((part("config"),), {"RepoDigests": [f"web@{OTHER_IMAGE}"]}, "registry"),
        ((part("config"),), {}, "missing"),
    ],
)
def test_an_image_comes_from_the_first_that_has_it(parts: Any, image: Any, expected: str) -> None:
    plan = planned(lost(Image=OTHER_IMAGE, Mounts=[]), *parts, image={"Id": OTHER_IMAGE, **image})
    assert plan.image.kind == expected
    assert ("image", "create") in kinds(plan) or expected != "missing"
    assert plan.image.reference == (f"web@{OTHER_IMAGE}" if expected == "registry" else "")


def test_an_image_that_the_engine_has_is_used_and_that_is_said() -> None:
    plan = planned(lost(Mounts=[]), part("config"))
    assert (plan.image.kind, codes(plan)) == ("engine", ["ROOTFS_FROM_IMAGE"])


def test_an_image_that_was_chosen_takes_the_place_of_the_files() -> None:
    plan = planned(overrides=read_overrides({"image": "image:1"}))
    assert plan.image.kind == "override"
    assert [part.kind for part in plan.parts] == ["volume"]


def test_a_network_that_is_gone_is_planned_and_joined() -> None:
    saved = lost(networks={"own": {"IPAMConfig": {"IPv4Address": "10.9.0.5"}}}, Mounts=[])
    plan = planned(saved, networks={"own": network("", name="own", subnet="10.9.0.0/24", Scope="local")})
    assert [one.name for one in plan.networks] == ["own"]
    assert plan.prepared.plan.create.endpoints["own"].static_addresses == ("10.9.0.5",)
    assert kinds(plan) == []


def test_a_network_of_which_nothing_is_known_stands_in_the_way() -> None:
    assert ("network", "create") in kinds(planned(lost(networks={"own": {}}, Mounts=[])))


def test_what_the_backup_lacks_is_said_and_makes_it_less_than_whole() -> None:
    plan = planned(lost(config={"Env": ["TOKEN"]}), part("rootfs"), part("bind", "/srv"))
    assert codes(plan) == ["SECRETS_MISSING", "VOLUME_WITHOUT_CONTENT", "BIND_LEFT_ALONE"]
    assert not plan.whole
    assert plan.prepared.plan.create.settings.environment in (None, ())
    given = planned(lost(config={"Env": ["TOKEN"]}), overrides=read_overrides({"env": {"set": {"TOKEN": "x"}}}))
    assert "SECRETS_MISSING" not in codes(given)


def test_only_parts_that_are_there_can_be_chosen() -> None:
    assert [part.kind for part in planned(parts=("rootfs",)).parts] == ["rootfs"]
    with pytest.raises(InvalidRequest, match="parts"):
        planned(parts=("nothing",))


def test_a_plan_is_another_one_when_something_else_would_come_of_it() -> None:
    first = planned().prepared.document.hash
    assert planned().prepared.document.hash == first
    others = [
        planned(bound={"start": True}),
        planned(parts=("rootfs",)),
        planned(name="web-2"),
        planned(reader=Reader(volumes=[volume("data", name="data")])),
        planned(lost(config={"Env": ["OTHER=1"]})),
    ]
    assert first not in [plan.prepared.document.hash for plan in others]


def test_host_power_that_a_backup_asks_for_is_judged_when_it_is_restored() -> None:
    assert planned(lost(host={"Privileged": True}, Mounts=[])).prepared.powers == ("It is privileged.",)
    bound = {"Type": "bind", "Source": "/etc", "Destination": "/etc", "RW": True}
    assert planned(lost(host={"Binds": ["/etc:/etc"]}, Mounts=[bound])).prepared.powers
