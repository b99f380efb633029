from __future__ import annotations

import json
from typing import Any

import pytest

from containers_app.engine.trees import TreeSize
from containers_app.errors import ContainerNotFound, NameTaken
from containers_app.specs.collisions import Collision
from containers_app.specs.engine import Holding
from containers_app.specs.placeholder import placeholder_id
from containers_app.workflows.content import Ends
from containers_app.workflows.measuring import Measured
from containers_app.workflows.stack_clone import StackCloneParams, clone_stack
from containers_app.workflows.stack_plan import StackPlan, plan_stack
from tests import recipes
from tests.unit.workflows.stack_engine import (
    LABEL,
    SECRET,
    Context,
    Engine,
    Reader,
    container,
    id_of,
    mounted,
    network,
    port,
    volume,
)

VOLUME = "d" * 64
MAC = "02:aa:bb:cc:dd:ee"


def planned(
    engine: Reader,
    other: Reader | None = None,
    *,
    data: str = "none",
    new: str = "new",
    key: bytes = b"k",
    **bound: Any,
) -> StackPlan:
    ends: Any = Ends(source=engine, target=other or engine)  # type: ignore[arg-type]
    context: Any = Context(engine, key=key)
    return plan_stack(context, ends, project="shop", new_project=new, data=data, bound=bound)


def stops(plan: StackPlan) -> list[tuple[str, str]]:
    return [(found.kind, found.subject) for found in plan.collisions if found.blocks == "create"]


def codes(plan: StackPlan) -> list[str]:
    return [warning.code for warning in plan.warnings]


def create_of(plan: StackPlan, name: str) -> Any:
    (found,) = [entry for entry in plan.members if entry.new_name == name]
    return found.prepared.plan.create.body()


def only(plan: StackPlan, kind: str) -> Collision:
    (found,) = [entry for entry in plan.collisions if entry.kind == kind]
    return found


def shop(*, kind: type[Reader] = Reader) -> Any:
    """A store with a static address, a named volume and one without; a side in its network; a web with a port."""
    store = container(
        "store",
        networks={"shop_back": {"IPAMConfig": {"IPv4Address": "172.29.7.9"}, "Aliases": ["shop-store-1", "db"]}},
        config={
            "Env": [f"TOKEN={SECRET}"],
            "Volumes": {"/fresh": {}},
            "Cmd": ["serve", SECRET],
            "Healthcheck": {"Test": ["CMD-SHELL", SECRET]},
        },
        host={"Binds": ["shop_kept:/kept"], "LogConfig": {"Type": "syslog", "Config": {"token": SECRET}}},
        label={"token": SECRET},
        Mounts=[mounted("shop_kept", "/kept"), mounted(VOLUME, "/fresh")],
    )
    side = container(
        "side",
        host={"NetworkMode": f"container:{id_of('shop-store-1')}", "VolumesFrom": [f"{id_of('shop-store-1')}:ro"]},
        Mounts=[mounted("shop_kept", "/kept", RW=False), mounted(VOLUME, "/fresh", RW=False)],
    )
    web = container(
        "web",
        networks={"shop_back": {}, "shop_front": {"NetworkID": ""}},
        host={"PortBindings": port(80, "8080")},
        label={LABEL + "depends_on": "store:service_healthy:false", "traefik.enable": "true", "caddy_0": "x"},
    )
    return kind(
        web,
        side,
        store,
        networks=[network("back", subnet="172.29.7.0/24", Options={"key": SECRET}), network("front")],
        volumes=[volume("kept", Options={"password": SECRET})],
    )


def test_a_whole_project_is_planned_in_order_with_every_name() -> None:
    plan = planned(shop(), data="volumes")
    document = plan.document()
    assert [entry["newName"] for entry in document["members"]] == ["new-store-1", "new-side-1", "new-web-1"]
    assert [entry["target"] for entry in document["networks"]] == ["new_back", "new_front"]
    assert document["volumes"] == [
        {
            "source": "shop_kept",
            "target": "new_kept",
            "treatment": "copy",
            "mountPoints": ["shop-store-1:/kept", "shop-side-1:/kept"],
        }
    ]
    assert stops(plan) == []
    assert codes(plan) == ["PORT_REMAPPED", "ADDRESS_MOVED", "VOLUME_BROUGHT_HOME", "HOOK_LABELS"]
    side = create_of(plan, "new-side-1")["HostConfig"]
    assert side["NetworkMode"] == f"container:{placeholder_id('new-store-1')}"
    assert side["VolumesFrom"] == [f"{placeholder_id('new-store-1')}:ro"]
    assert json.loads(json.dumps(document)) == document


def test_a_project_without_containers_is_not_found() -> None:
    with pytest.raises(ContainerNotFound, match="shop") as caught:
        planned(Reader(container("web", label={LABEL + "project": "other"})))
    assert caught.value.field == "project"


def test_containers_of_one_off_runs_are_left_out() -> None:
    once = container("web", name="shop-web-run-1", label={LABEL + "oneoff": "True"})
    assert [entry.member.name for entry in planned(Reader(container("web"), once)).members] == ["shop-web-1"]


def test_names_of_the_older_compose_names_of_ones_own_and_replicas_are_kept_apart() -> None:
    names = ["shop_web_1", "shop_web_2", "mine", "shop-db-1"]
    plan = planned(Reader(*(container("web", name=name) for name in names)))
    assert sorted(entry.new_name for entry in plan.members) == ["new-db-1", "new-mine", "new_web_1", "new_web_2"]
    assert stops(plan) == []


def test_two_members_that_would_get_one_name_are_seen_before_anything_is_made() -> None:
    plan = planned(Reader(container("web"), container("own", name="web-1")))
    assert stops(plan) == [("name", "new-web-1")]


@pytest.mark.parametrize("taken", ["container", "project", "network", "volume"])
def test_names_that_are_taken_are_found_all_at_once(taken: str) -> None:
    engine = shop()
    if taken == "container":
        engine.held.append(Holding(id="9" * 64, name="new-web-1", running=False))
    elif taken == "project":
        there = container("x", name="new-x-1", label={LABEL + "project": "new"})
        engine.there[there["Id"]] = there
    elif taken == "network":
        engine.raw_networks["9" * 64] = {**network("x", name="new_front"), "Id": "9" * 64}
    else:
        engine.raw_volumes["new_kept"] = volume("x", name="new_kept", ours=False)
    subjects = {"container": "new-web-1", "project": "new", "network": "new_front", "volume": "new_kept"}
    kind = "name" if taken in ("container", "project") else taken
    assert stops(planned(engine)) == [(kind, subjects[taken])]


def test_members_that_refer_to_one_another_cannot_be_made() -> None:
    one = container("a", host={"VolumesFrom": ["shop-b-1"]})
    other = container("b", host={"VolumesFrom": ["shop-a-1"]})
    plan = planned(Reader(one, other))
    assert stops(plan) == [("reference", "shop-a-1")]


def test_a_network_and_a_volume_of_others_are_used_by_both() -> None:
    member = container(
        "web",
        networks={"web": {"Aliases": ["shop-web-1"]}},
        host={
            "Mounts": [
                {"Type": "volume", "Source": "media", "Target": "/m", "VolumeOptions": {"DriverConfig": {"Name": "x"}}}
            ]
        },
        Mounts=[mounted("media", "/m")],
    )
    plan = planned(
        Reader(member, networks=[network("", name="web", ours=False)], volumes=[volume("", name="media", ours=False)])
    )
    assert (plan.networks, [entry.treatment for entry in plan.volumes]) == ((), ["share"])
    assert (stops(plan), codes(plan)) == ([], ["VOLUME_SHARED"])
    create = create_of(plan, "new-web-1")
    assert create["NetworkingConfig"]["EndpointsConfig"]["web"]["Aliases"] == ["new-web-1"]
    assert create["HostConfig"]["Mounts"][0]["VolumeOptions"]["DriverConfig"]["Name"] == "x"


def test_what_others_made_must_be_on_the_other_host_too() -> None:
    member = container("web", networks={"web": {}}, host={"Binds": ["media:/m"]}, Mounts=[mounted("media", "/m")])
    outside: Any = {
        "networks": [network("", name="web", ours=False)],
        "volumes": [volume("", name="media", ours=False)],
    }
    assert sorted(stops(planned(Reader(member, **outside), Reader()))) == [("network", "web"), ("volume", "media")]
    assert stops(planned(Reader(member, **outside), Reader(**outside))) == []


def test_a_volume_and_a_network_with_names_of_their_own_are_made_under_composes() -> None:
    member = container(
        "db", networks={"lan": {}}, host={"Binds": ["pgdata:/data"]}, Mounts=[mounted("pgdata", "/data")]
    )
    plan = planned(Reader(member, networks=[network("back", name="lan")], volumes=[volume("data", name="pgdata")]))
    assert [entry.target for entry in plan.volumes] == ["new_data"]
    create = create_of(plan, "new-db-1")
    assert (create["HostConfig"]["Binds"], create["HostConfig"]["NetworkMode"]) == (["new_data:/data"], "new_back")
    assert plan.volumes[0].labels == {LABEL + "project": "new", LABEL + "volume": "data"}


def test_two_volumes_under_one_key_are_not_mixed() -> None:
    old = container("a", host={"Binds": ["shop_data:/d"]}, Mounts=[mounted("shop_data", "/d")])
    new = container("b", host={"Binds": ["pgdata:/d"]}, Mounts=[mounted("pgdata", "/d")])
    plan = planned(Reader(old, new, volumes=[volume("data"), volume("data", name="pgdata")]))
    assert stops(plan) == [("volume", "new_data")]


def test_a_network_that_is_gone_is_said_and_one_that_was_made_anew_is_not_shared() -> None:
    member = container(
        "web", networks={"shop_back": {"NetworkID": "8" * 64}, "gone": {}}, host={"NetworkMode": "shop_back"}
    )
    plan = planned(Reader(member, networks=[network("back")]))
    assert codes(plan) == ["NETWORK_GONE"]
    assert list(create_of(plan, "new-web-1")["NetworkingConfig"]["EndpointsConfig"]) == ["new_back"]


@pytest.mark.parametrize("api", ["1.41", "1.45"])
def test_a_member_that_never_was_started_gets_the_new_network(api: str) -> None:
    member = container("web", networks={"shop_back": {"NetworkID": ""}})
    create = create_of(planned(Reader(member, networks=[network("back")], api=api)), "new-web-1")
    assert create["HostConfig"]["NetworkMode"] == "new_back"
    assert list(create["NetworkingConfig"]["EndpointsConfig"]) == ["new_back"]


@pytest.mark.parametrize(("mode", "kinds"), [("passthru", [("network", "new_lan")]), ("bridge", [])])
def test_an_interface_that_two_networks_would_share_is_named(mode: str, kinds: list[tuple[str, str]]) -> None:
    lan = network("lan", Driver="macvlan", Options={"parent": "eth0", "macvlan_mode": mode})
    plan = planned(Reader(container("web", networks={"shop_lan": {}}), networks=[lan]))
    assert (stops(plan), codes(plan)) == (kinds, ["PARENT_SHARED"])
    elsewhere = planned(Reader(container("web", networks={"shop_lan": {}}), networks=[lan]), Reader())
    assert (stops(elsewhere), codes(elsewhere)) == ([], [])


def test_no_free_subnet_for_a_static_address_is_in_the_way() -> None:
    engine = shop()
    pools = [{"Subnet": text} for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
    engine.raw_networks["9" * 64] = {**network("x", name="all"), "IPAM": {"Config": pools}}
    assert stops(planned(engine)) == [("address", "new_back")]


def test_a_static_address_in_a_network_of_others_is_held_by_the_source_even_while_it_is_stopped() -> None:
    member = container("web", networks={"web": {"IPAMConfig": {"IPv4Address": "172.30.0.9"}}})
    plan = planned(Reader(member, networks=[network("", name="web", ours=False, subnet="172.30.0.0/24")]))
    found = only(plan, "address")
    assert (found.subject, found.blocks) == ("172.30.0.9", "start")
    assert found.message.startswith("new-web-1: ")


@pytest.mark.parametrize("api", ["1.41", "1.45"])
def test_macs_are_dropped_beside_the_source_and_kept_on_another_host(api: str) -> None:
    member = container("web", config={"MacAddress": MAC}, networks={"shop_back": {"MacAddress": MAC}})

    def engine() -> Reader:
        return Reader(member, networks=[network("back")], api=api)

    assert MAC not in json.dumps(create_of(planned(engine()), "new-web-1"))
    assert MAC in json.dumps(create_of(planned(engine(), Reader(api=api)), "new-web-1"))


def ports(plan: StackPlan) -> list[str]:
    bindings = [create_of(plan, entry.new_name)["HostConfig"]["PortBindings"] for entry in plan.members]
    return [entry["HostPort"] for binding in bindings for entry in binding["80/tcp"]]


def publishing(*host_ports: str) -> list[Any]:
    return [
        container(
            "web",
            name=f"shop-web-{number}",
            networks={"shop_back": {}},
            host={"PortBindings": port(80, text)},
            config={"ExposedPorts": {"80/tcp": {}}},
        )
        for number, text in enumerate(host_ports, 1)
    ]


def test_host_ports_move_to_such_as_neither_sources_nor_other_clones_want() -> None:
    plan = planned(Reader(*publishing("8080", "8081"), networks=[network("back")]))
    assert ports(plan) == ["8082", "8083"]
    assert codes(plan) == ["PORT_REMAPPED", "PORT_REMAPPED"]
    assert [entry for entry in plan.collisions if entry.kind == "port"] == []


def test_two_members_that_want_one_free_port_get_two() -> None:
    plan = planned(Reader(*publishing("8080", "8080"), networks=[network("back")]), Reader())
    assert ports(plan) == ["8080", "8081"]


def test_replicas_share_a_range_until_it_is_used_up() -> None:
    plan = planned(Reader(*publishing("8000-8001", "8000-8001", "8000-8001"), networks=[network("back")]), Reader())
    assert ports(plan) == ["8000-8001", "8000-8001", "8002"]


def test_a_port_that_the_engine_chooses_stays_so() -> None:
    assert ports(planned(Reader(*publishing("", "0"), networks=[network("back")]))) == ["", "0"]


def test_volumes_without_a_name_follow_their_giver() -> None:
    plan = planned(shop(), data="volumes")
    store, side = (entry.prepared for entry in plan.members[:2])
    assert [(entry.source, entry.anonymous, entry.treatment) for entry in store.volumes] == [(VOLUME, True, "copy")]
    assert side.volumes == ()
    names = {mount["Destination"]: mount["Name"] for mount in side.wanted["Mounts"]}
    assert names == {"/kept": "new_kept", "/fresh": placeholder_id("new-store-1:/fresh")}
    assert VOLUME not in json.dumps(side.plan.create.body())


@pytest.mark.parametrize(("data", "treatment"), [("none", "empty"), ("volumes", "copy")])
def test_a_volume_that_compose_carried_over_by_its_id_is_not_shared(data: str, treatment: str) -> None:
    member = container("db", host={"Binds": [f"{VOLUME}:/data:rw"]}, Mounts=[mounted(VOLUME, "/data")])
    plan = planned(Reader(member, volumes=[volume("", name=VOLUME, ours=False)]), data=data)
    assert (plan.volumes, codes(plan)) == ((), [])
    (found,) = plan.members[0].prepared.volumes
    assert (found.treatment, found.target) == (treatment, "new-db-1_data")
    assert create_of(plan, "new-db-1")["HostConfig"]["Binds"] == ["new-db-1_data:/data:rw"]


@pytest.mark.parametrize(
    "power",
    [
        {"host": {"Binds": ["/var/run/docker.sock:/s"]}},
        {"host": {"Privileged": True}},
        {"host": {"Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/e"}]}},
    ],
)
def test_power_over_the_host_is_told_with_the_member_that_has_it(power: Any) -> None:
    plan = planned(Reader(container("web", **power), container("db")))
    assert plan.powers
    assert all(text.startswith("new-web-1: ") for text in plan.powers)
    assert only(plan, "privilege").blocks == "confirm"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_is_made_for_the_clone_gives_no_power(elsewhere: bool) -> None:
    assert planned(shop(), Reader() if elsewhere else None).powers == ()


def test_a_whole_project_goes_to_another_host_with_its_own_references() -> None:
    linked = container("old", host={"NetworkMode": "bridge", "Links": ["/shop-web-1:/shop-old-1/w"]})
    engine = shop()
    engine.there[linked["Id"]] = linked
    assert stops(planned(engine, Reader())) == []


@pytest.mark.parametrize("host", [{"NetworkMode": f"container:{'7' * 64}"}, {"VolumesFrom": ["7" * 64]}])
def test_what_refers_to_strangers_does_not_go_to_another_host(host: Any) -> None:
    given = mounted(VOLUME, "/given")
    stranger = {**container("x", name="stranger", label={LABEL + "project": "x"}, Mounts=[given]), "Id": "7" * 64}
    engine = Reader(container("web", host=host, Mounts=[given] if "VolumesFrom" in host else []), stranger)
    assert stops(planned(engine)) == []
    assert stops(planned(engine, Reader(stranger))) != []


def test_on_another_host_the_project_may_keep_its_name() -> None:
    plan = planned(shop(), Reader(), new="shop")
    assert (stops(plan), plan.powers) == ([], ())
    assert [entry.new_name for entry in plan.members] == ["shop-store-1", "shop-side-1", "shop-web-1"]
    assert codes(plan) == ["VOLUME_BROUGHT_HOME", "HOOK_LABELS"]
    assert ("name", "shop") in stops(planned(shop(), new="shop"))


def test_labels_that_other_programs_act_on_are_named_without_their_values() -> None:
    (warning,) = [entry for entry in planned(shop()).warnings if entry.code == "HOOK_LABELS"]
    assert warning.message.startswith("shop-web-1 has labels")
    assert "caddy_0, traefik.enable" in warning.message


def test_no_secret_is_in_a_plan() -> None:
    plan = planned(shop(), data="all")
    assert SECRET in json.dumps(create_of(plan, "new-store-1"))
    assert SECRET not in json.dumps(plan.document())
    assert SECRET not in repr(plan)


def test_a_plan_is_the_same_each_time_in_whatever_order_the_engine_answers() -> None:
    one, other = shop(), shop()
    other.there = dict(reversed(other.there.items()))
    first = planned(one, data="volumes", start=True)
    assert first.document() == planned(one, data="volumes", start=True).document()
    assert first.hash == planned(other, data="volumes", start=True).hash


def change_of(engine: Any, what: str) -> None:
    store = engine.there[id_of("shop-store-1")]
    back = engine.raw_networks[id_of("shop_back")]
    changes: Any = {
        "environment": lambda: store["Config"].update(Env=["TOKEN=other"]),
        "a label": lambda: store["Config"]["Labels"].update({"token": "other"}),
        "network options": lambda: back.update(Options={"key": "other"}),
        "an internal network": lambda: back.update(Internal=True),
        "volume options": lambda: engine.raw_volumes["shop_kept"].update(Options={"password": "other"}),
        "a name": lambda: store.update(Name="/shop-store-2"),
        "a member less": lambda: engine.there.pop(id_of("shop-web-1")),
        "a port that is held": lambda: engine.held.append(
            Holding(id="9" * 64, name="x", running=True, ports=(("", 8081, "tcp"),))
        ),
    }
    changes[what]()


@pytest.mark.parametrize(
    "what",
    [
        "environment",
        "a label",
        "network options",
        "an internal network",
        "volume options",
        "a name",
        "a member less",
        "a port that is held",
    ],
)
def test_what_matters_makes_it_another_plan(what: str) -> None:
    engine = shop()
    before = planned(engine).hash
    change_of(engine, what)
    assert planned(engine).hash != before


def test_every_choice_makes_it_another_plan() -> None:
    engine, there = shop(), Reader()
    hashes = [
        planned(engine, host=None, consistency="live", start=False).hash,
        planned(engine, host=None, consistency="pause", start=False).hash,
        planned(engine, host=None, consistency="live", start=True).hash,
        planned(engine, data="volumes", host=None, consistency="live", start=False).hash,
        planned(engine, data="all", host=None, consistency="live", start=False).hash,
        planned(engine, new="newer", host=None, consistency="live", start=False).hash,
        planned(engine, there, host="other", consistency="live", start=False).hash,
    ]
    assert len(set(hashes)) == len(hashes)


def test_without_volumes_the_writable_layer_still_makes_it_another_plan() -> None:
    engine = Reader(container("web"))
    assert planned(engine, data="volumes").hash != planned(engine, data="all").hash


def test_another_key_gives_another_hash() -> None:
    engine = shop()
    assert planned(engine, key=b"1").hash != planned(engine, key=b"2").hash


def placeholders(plan: StackPlan) -> set[str]:
    anonymous = {
        placeholder_id(f"{entry.new_name}:{path}") for entry in plan.members for path in entry.member.own.values()
    }
    return {*plan.renaming.containers.values(), *(network.summary.id for network in plan.networks), *anonymous}


def carried_over(engine: Any) -> None:
    """The volume without a name is mounted by its id, as compose does when it makes a container anew."""
    store = engine.there[id_of("shop-store-1")]
    store["Config"]["Volumes"] = None
    store["HostConfig"]["Binds"].append(f"{VOLUME}:/fresh:rw")
    engine.there[id_of("shop-side-1")]["HostConfig"]["Binds"] = [f"{VOLUME}:/fresh:ro"]


@pytest.mark.django_db
@pytest.mark.parametrize("host", [None, "other"])
@pytest.mark.parametrize("api", ["1.41", "1.45"])
@pytest.mark.parametrize("carried", [False, True])
def test_nothing_that_was_only_planned_reaches_the_engine(host: str | None, api: str, carried: bool) -> None:
    engine, other = shop(kind=Engine), Engine(api=api)
    engine.api = api
    if carried:
        carried_over(engine)
    for name in ("local", "other"):
        recipes.host(name)
    plan = planned(engine, other if host else None)
    context: Any = Context(engine, other=other)
    done = clone_stack(context, StackCloneParams(project="shop", new_project="new", host=host))
    target = other if host else engine
    own = [("volume", "new-store-1_fresh")] if carried else []
    assert [(kind, name) for kind, name, _ in target.sent if kind != "join"] == [
        ("network", "new_back"),
        ("network", "new_front"),
        ("volume", "new_kept"),
        *own,
        ("container", "new-store-1"),
        ("container", "new-side-1"),
        ("container", "new-web-1"),
    ]
    assert len(placeholders(plan)) == 6, "three containers, two networks, a volume without a name"
    said = json.dumps([engine.asked, other.asked, target.sent])
    assert [found for found in placeholders(plan) if found in said] == []
    assert VOLUME not in json.dumps(target.sent)
    store, side = (target.there[id_of(f"new-{service}-1")] for service in ("store", "side"))
    assert {mount["Name"] for mount in side["Mounts"]} == {mount["Name"] for mount in store["Mounts"]}
    assert [entry["newId"] for entry in done.result["containers"]] == [
        id_of(f"new-{service}-1") for service in ("store", "side", "web")
    ]
    assert engine.sent == [] or host is None


@pytest.mark.django_db
def test_a_refused_plan_makes_nothing_and_names_the_field() -> None:
    engine = shop(kind=Engine)
    engine.held.append(Holding(id="9" * 64, name="new-web-1", running=False))
    context: Any = Context(engine)
    with pytest.raises(NameTaken) as caught:
        clone_stack(context, StackCloneParams(project="shop", new_project="new"))
    assert caught.value.field == "newProject"
    assert (engine.sent, context.children, context.undo) == ([], [], [])


def test_content_without_room_stops_the_whole_and_is_no_part_of_the_hash() -> None:
    plan = planned(Reader(container("web")), data="all")
    size = TreeSize(entries=1, bytes=2, elsewhere=0)
    full = plan.with_content(Measured(sizes={"volume data": size}, free_bytes=1))
    assert stops(full) == [*stops(plan), ("space", "data")]
    assert full.document()["content"]["bytes"] == 2
    assert full.hash == plan.hash


def test_a_volume_of_a_file_server_is_said_to_become_a_plain_one() -> None:
    options = {"type": "nfs", "o": "addr=10.0.0.9", "device": ":/export"}
    member = container("db", Mounts=[mounted("shop_data", "/data")], host={"Binds": ["shop_data:/data"]})
    plain = Reader(member, volumes=[volume("data")])
    assert "VOLUME_BROUGHT_HOME" not in codes(planned(plain, data="volumes"))
    served = Reader(member, volumes=[volume("data", Options=options)])
    assert "VOLUME_BROUGHT_HOME" in codes(planned(served, data="volumes"))
