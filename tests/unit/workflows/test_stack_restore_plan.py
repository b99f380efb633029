"""The restore of a stack is planned from what its sets remember: each part once, under its name or another one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from containers_app.archives.manifest import Part, StackIdentity
from containers_app.specs.engine import Holding
from containers_app.specs.saved import SavedConfiguration
from containers_app.workflows.stack_restore_plan import StackRestorePlan, plan_stack_restore
from containers_app.workflows.stack_sets import StackSets
from tests.unit.specs.inspects import IMAGE_ID, Inspect
from tests.unit.workflows.stack_engine import Context, Reader, container, mounted, network, port, volume
from tests.unit.workflows.test_restore_plan import Files, part

OWN = "d" * 64
NETWORK = network("back", subnet="172.30.0.0/24")


def files_of(saved: Inspect, *parts: Part, lacking: bool = False) -> Any:
    """A set of a container of `shop`, which knows the stack's network and volumes."""
    env = ["TOKEN"] if lacking else ["TOKEN=word"]
    configuration = SavedConfiguration(
        container={**saved, "Config": {**saved["Config"], "Env": env}},
        volumes={"shop_kept": volume("kept"), "outside": volume("x", name="outside", ours=False)},
        networks={"shop_back": NETWORK},
        image={"Id": IMAGE_ID, "RepoTags": ["image:1"]},
    )
    name = str(saved["Name"]).removeprefix("/")
    made: Any = Files(configuration, part("rootfs", name), *parts)
    made.manifest = SimpleNamespace(
        engine_version="26.1.5",
        api_version="1.45",
        container=SimpleNamespace(platform="linux/amd64", name=name),
    )
    return made


def store(**more: Any) -> Inspect:
    """With a volume of the project, one that the project only uses, one without a name, and an address of its own."""
    mounts = [mounted("shop_kept", "/kept"), mounted("outside", "/outside"), mounted(OWN, "/own")]
    host = {"Binds": ["shop_kept:/kept:z", "outside:/outside:z"], **more.pop("host", {})}
    networks = {"shop_back": {"IPAMConfig": {"IPv4Address": "172.30.0.9"}}}
    return container("store", networks=networks, host=host, config={"Volumes": {"/own": {}}}, Mounts=mounts, **more)


def web() -> Inspect:
    """It depends on the store, mounts its volume too, and publishes a port."""
    host = {"Binds": ["shop_kept:/kept:z"], "PortBindings": port(80, "8080")}
    waits = {"com.docker.compose.depends_on": "store:service_healthy:false"}
    return container("web", networks={"shop_back": {}}, host=host, label=waits, Mounts=[mounted("shop_kept", "/kept")])


def every_part() -> tuple[Part, ...]:
    return part("volume", "shop_kept"), part("volume", "outside"), part("volume", OWN)


def planned(reader: Reader | None = None, *, new: str | None = None, sets: Any = None) -> StackRestorePlan:
    engine: Any = reader or Reader()
    given = sets or (files_of(web(), part("volume", "shop_kept")), files_of(store(), *every_part()))
    context: Any = Context(engine)
    identity = StackIdentity(project="shop", service="", operation_id="o", members=())
    opened = StackSets(identity=identity, files=given)
    return plan_stack_restore(context, engine, opened, new_project=new, bound={"start": True})


def codes(plan: StackRestorePlan) -> set[str]:
    return {warning.code for warning in plan.stack.warnings}


def stops(plan: StackRestorePlan) -> list[tuple[str, str | None]]:
    return [(collision.kind, collision.blocks) for collision in plan.stack.collisions]


def targets(plan: StackRestorePlan) -> dict[str, str]:
    return {made.source: made.target for made in plan.stack.volumes}


def test_all_comes_back_under_its_names_and_in_its_order() -> None:
    plan = planned()
    assert [entry.new_name for entry in plan.stack.members] == ["shop-store-1", "shop-web-1"]
    assert (stops(plan), codes(plan), plan.whole) == ([], set(), True)
    assert targets(plan) == {"shop_kept": "shop_kept", "outside": "outside"}
    (made,) = plan.stack.networks
    assert (made.name, made.summary.subnets) == ("shop_back", ("172.30.0.0/24",))
    assert made.labels["com.docker.compose.project"] == "shop"


def test_a_shared_volume_is_filled_once_and_one_without_a_name_by_its_owner() -> None:
    plan = planned()
    first, second = plan.stack.members
    assert [volume for volume, _ in plan.shared(first)] == ["outside", "shop_kept"]
    assert plan.shared(second) == []
    assert set(plan.of(first).volumes) == {"outside", "shop_kept", OWN}
    assert [part.kind for part in plan.of(second).parts] == ["rootfs"]
    assert plan.of(second).without == ()


def test_under_another_name_its_own_parts_are_renamed_and_nothing_outside_is() -> None:
    plan = planned(new="copy")
    assert [entry.new_name for entry in plan.stack.members] == ["copy-store-1", "copy-web-1"]
    assert targets(plan) == {"shop_kept": "copy_kept", "outside": "outside"}
    assert [made.name for made in plan.stack.networks] == ["copy_back"]
    labels = plan.stack.members[0].prepared.wanted["Config"]["Labels"]
    assert labels["com.docker.compose.project"] == "copy"


def test_a_name_that_compose_did_not_make_is_kept_with_the_project() -> None:
    odd = files_of(container("store", name="database", networks={"shop_back": {}}))
    assert planned(sets=(odd,)).stack.members[0].new_name == "database"
    assert planned(sets=(odd,), new="copy").stack.members[0].new_name == "copy-database"


def test_a_volume_that_is_there_is_not_touched_and_a_network_is_used() -> None:
    reader = Reader(networks=[NETWORK], volumes=[volume("kept"), volume("x", name="outside", ours=False)])
    plan = planned(reader)
    assert targets(plan) == {"shop_kept": "shop_kept_2", "outside": "outside_2"}
    assert plan.stack.networks == ()
    assert "VOLUME_RENAMED" in codes(plan)
    assert stops(plan) == []


def test_a_subnet_that_is_taken_gives_way_and_addresses_move_along() -> None:
    taken = network("other", name="other", subnet="172.30.0.0/16", ours=False)
    plan = planned(Reader(networks=[taken]))
    (made,) = plan.stack.networks
    assert made.summary.subnets != ("172.30.0.0/24",)
    assert made.addresses["172.30.0.9"].endswith(".9")
    assert "ADDRESS_MOVED" in codes(plan)


@pytest.mark.parametrize(("new", "expected"), [(None, [("port", "start")]), ("copy", [])])
def test_a_port_that_is_held_is_told_or_under_another_name_another_one(new: str | None, expected: Any) -> None:
    reader = Reader()
    reader.held = [Holding(id="f" * 64, name="other", running=True, ports=(("", 8080, "tcp"),))]
    plan = planned(reader, new=new)
    assert stops(plan) == expected
    assert ("PORT_REMAPPED" in codes(plan)) == (new is not None)


def test_containers_of_the_project_stand_in_the_way() -> None:
    assert ("name", "create") in stops(planned(Reader(store())))
    assert stops(planned(Reader(container("store", Mounts=[])), new="copy")) == []


def test_what_the_sets_do_not_have_is_told() -> None:
    bare: Any = files_of(store(), lacking=True)
    bare.every = (part("config"),)
    bare.saved.container["Image"] = "sha256:" + "9" * 64
    plan = planned(sets=(bare,))
    assert ("image", "create") in stops(plan)
    assert {"SECRETS_MISSING", "VOLUME_WITHOUT_CONTENT", "ROOTFS_FROM_IMAGE"} <= codes(plan)
    assert {made.treatment for made in plan.stack.volumes} == {"empty"}
    assert not plan.whole


def test_the_hash_is_of_all_that_would_be_made() -> None:
    plan = planned()
    assert plan.stack.hash == planned().stack.hash
    others = (files_of(web(), part("volume", "shop_kept")), files_of(store(host={"Memory": 2**26}), *every_part()))
    different = [planned(new="copy"), planned(Reader(volumes=[volume("kept")])), planned(sets=others)]
    assert len({plan.stack.hash, *(other.stack.hash for other in different)}) == 4


def test_the_document_says_where_things_come_from_and_no_value() -> None:
    document = planned().document()
    assert [member["plan"]["image"] for member in document["members"]] == [{"from": "rootfs", "reference": None}] * 2
    assert [entry["kind"] for entry in document["members"][0]["plan"]["parts"]] == ["rootfs", *["volume"] * 3]
    assert "TOKEN=word" not in repr(document)
