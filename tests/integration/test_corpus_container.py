"""Sources that are special by their image, settings, name or state, cloned on every Engine."""

from __future__ import annotations

from containers_app.engine.gateway import EngineGateway
from containers_app.specs.engine import OPERATION_LABEL, TOKEN_LABEL
from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.laboratory import Body, Kind, Kinds, Laboratory, check_clone
from tests.throwaway import wait_until

KINDS = Kinds()


@KINDS.add()
def plain(lab: Laboratory) -> str:
    return lab.container()


@KINDS.add()
def running(lab: Laboratory) -> str:
    return lab.container(start=True)


@KINDS.add()
def environment_with_every_kind_of_text(lab: Laboratory) -> str:
    return lab.container({"Env": ["LINES=one\ntwo\n", "EQUALS=a=b==c", "UMLAUT=Grüße 🐳", "EMPTY=", "PATH"]})


@KINDS.add()
def emptied_entrypoint(lab: Laboratory) -> str:
    image = lab.image("entry", 'ENTRYPOINT ["/bin/false"]', 'CMD ["unused"]')
    return lab.container({"Image": image, "Entrypoint": [""], "Cmd": ["/bin/idle"]})


@KINDS.add()
def entrypoint_of_the_image(lab: Laboratory) -> str:
    image = lab.image("wrapped", 'ENTRYPOINT ["/bin/env"]', 'CMD ["/bin/idle"]', "USER sample", "WORKDIR /tmp")
    return lab.container({"Image": image})


@KINDS.add()
def entrypoint_overridden_without_a_command(lab: Laboratory) -> str:
    image = lab.image("replaced", 'ENTRYPOINT ["/bin/false"]', 'CMD ["unused"]')
    return lab.container({"Image": image, "Entrypoint": ["/bin/idle"]})


@KINDS.add()
def image_with_volumes_ports_and_labels(lab: Laboratory) -> str:
    image = lab.image("rich", "VOLUME /data", "EXPOSE 80 443/udp", "LABEL a=b", "ENV X=1")
    return lab.container({"Image": image, "Labels": {"c": "d"}, "Env": ["Y=2"]})


@KINDS.add()
def image_tag_moved(lab: Laboratory) -> str:
    image = lab.image("moving", "LABEL generation=1")
    source = lab.container({"Image": image}, start=True)
    lab.client.api.tag(lab.image("other", "LABEL generation=2"), image.partition(":")[0], "moving", force=True)
    return source


@KINDS.add()
def image_tag_removed(lab: Laboratory) -> str:
    image = lab.image("vanishing", "LABEL generation=3")
    source = lab.container({"Image": image}, start=True)
    lab.client.api.remove_image(image, force=True)
    return source


@KINDS.add()
def image_named_by_id(lab: Laboratory) -> str:
    return lab.container({"Image": lab.client.api.inspect_image(SAMPLE_IMAGE)["Id"]})


@KINDS.add()
def healthcheck(lab: Laboratory) -> str:
    check = {"Test": ["CMD-SHELL", "true"], "Interval": 10**9, "Timeout": 2 * 10**9, "Retries": 7}
    return lab.container({"Healthcheck": check}, start=True)


@KINDS.add()
def healthcheck_switched_off(lab: Laboratory) -> str:
    image = lab.image("checked", "HEALTHCHECK CMD true")
    return lab.container({"Image": image, "Healthcheck": {"Test": ["NONE"]}})


@KINDS.add()
def names_and_terminal(lab: Laboratory) -> str:
    body = {
        "Hostname": "box",
        "Domainname": "example.org",
        "User": "1000:1000",
        "WorkingDir": "/tmp",
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "StopSignal": "SIGINT",
        "StopTimeout": 3,
        "Shell": ["/bin/sh", "-c"],
        "HostConfig": {"ConsoleSize": [24, 80], "ExtraHosts": ["a:10.0.0.1"], "Dns": ["10.0.0.2"]},
    }
    return lab.container(body, start=True)


@KINDS.add()
def labels_of_an_earlier_operation(lab: Laboratory) -> str:
    return lab.container({"Labels": {OPERATION_LABEL: "earlier", TOKEN_LABEL: "9", "theirs": "kept"}})


@KINDS.add()
def auto_remove(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"AutoRemove": True}}, start=True)


@KINDS.add()
def restart_on_failure(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}}, start=True)


@KINDS.add()
def restart_always(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"RestartPolicy": {"Name": "always"}}})


@KINDS.add()
def restart_unless_stopped(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}}})


@KINDS.add()
def environment_of_a_hundred_kibibytes(lab: Laboratory) -> str:
    return lab.container({"Env": [f"LARGE={'ü' * 50 * 1024}", "LARGE=again"]})


@KINDS.add()
def labels_of_every_kind(lab: Laboratory) -> str:
    labels = {"": "no key", "empty": "", "lines": "one\ntwo", "Grüße": "🐳", "a.b/c=d": "x=y"}
    return lab.container({"Labels": labels})


@KINDS.add()
def made_by_compose(lab: Laboratory) -> str:
    network, volume = f"{lab.word}_default", f"{lab.word}_data"
    lab.post("/networks/create", {"Name": network, "Labels": {"com.docker.compose.network": "default"}})
    lab.networks.append(network)
    lab.volumes.append(volume)
    labels = {
        "com.docker.compose.project": lab.word,
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": "1",
        "com.docker.compose.config-hash": "0" * 64,
        "com.docker.compose.depends_on": "data:service_started:false",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project.config_files": "/srv/shop/compose.yaml",
    }
    host = {"NetworkMode": network, "Mounts": [{"Type": "volume", "Source": volume, "Target": "/data"}]}
    endpoints = {network: {"Aliases": [f"{lab.word}-web-1", "web"]}}
    body = {"Labels": labels, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoints}}
    return lab.container(body, name="web-1", start=True)


@KINDS.add()
def image_with_every_default(lab: Laboratory) -> str:
    changes = (
        "HEALTHCHECK --interval=9s --retries=2 CMD true",
        "ONBUILD RUN true",
        "EXPOSE 8000-8002",
    )
    image = lab.image("defaults", *changes, StopSignal="SIGQUIT", Shell=["/bin/sh", "-ec"])
    return lab.container({"Image": image})


@KINDS.add()
def image_of_a_registry(lab: Laboratory) -> str:
    name = f"registry.example:5000/{lab.word}/deep/er"
    lab.client.api.tag(SAMPLE_IMAGE, name, "1.0")
    lab.images.append(f"{name}:1.0")
    return lab.container({"Image": f"{name}:1.0"})


@KINDS.add()
def image_named_by_a_short_id(lab: Laboratory) -> str:
    return lab.container({"Image": lab.client.api.inspect_image(SAMPLE_IMAGE)["Id"].removeprefix("sha256:")[:12]})


@KINDS.add()
def image_without_a_tag(lab: Laboratory) -> str:
    return lab.container({"Image": lab.image("latest", "LABEL a=b").partition(":")[0]})


@KINDS.add()
def command_emptied(lab: Laboratory) -> str:
    image = lab.image("words", 'ENTRYPOINT ["/bin/idle"]', 'CMD ["unused"]')
    return lab.container({"Image": image, "Cmd": []})


@KINDS.add()
def platform_asked_for(lab: Laboratory) -> str:
    image = lab.client.api.inspect_image(SAMPLE_IMAGE)
    return lab.container(platform=f"{image['Os']}/{image['Architecture']}")


@KINDS.add(api=(1, 44))
def healthcheck_with_a_start_interval(lab: Laboratory) -> str:
    check = {"Test": ["CMD", "true"], "StartPeriod": 5 * 10**9, "StartInterval": 10**9, "Interval": 30 * 10**9}
    return lab.container({"Healthcheck": check}, start=True)


@KINDS.add()
def everything_null(lab: Laboratory) -> str:
    settings = ("Env", "Cmd", "Entrypoint", "Labels", "Volumes", "ExposedPorts", "Healthcheck", "StopTimeout", "Shell")
    host = ("Binds", "Mounts", "Links", "PortBindings", "LogConfig", "RestartPolicy", "Ulimits", "Sysctls", "Tmpfs")
    body: Body = {**dict.fromkeys(settings), "HostConfig": dict.fromkeys(host), "NetworkingConfig": None}
    return lab.container(body, start=True)


@KINDS.add()
def everything_empty(lab: Laboratory) -> str:
    host: Body = {"Binds": [], "Mounts": [], "Links": [], "PortBindings": {}, "LogConfig": {}, "CapAdd": [], "Dns": []}
    body: Body = {"Env": [], "Labels": {}, "Volumes": {}, "ExposedPorts": {}, "HostConfig": host}
    return lab.container(body)


@KINDS.add()
def name_of_255_characters(lab: Laboratory) -> str:
    return lab.container(name="n" * (254 - len(lab.word)))


@KINDS.add()
def name_that_is_another_containers_short_id(lab: Laboratory) -> str:
    other = lab.container({"Volumes": {"/other": {}}}, name="other")
    return exactly_named(lab, other[:12], {"Volumes": {"/own": {}}})


@KINDS.add()
def short_id_that_is_another_containers_name(lab: Laboratory) -> str:
    source = lab.container({"Volumes": {"/own": {}}})
    exactly_named(lab, source[:12], {"Volumes": {"/other": {}}})
    return source


def exactly_named(lab: Laboratory, name: str, body: Body) -> str:
    identifier = str(lab.post("/containers/create", {"Image": SAMPLE_IMAGE, **body}, name=name)["Id"])
    lab.containers.append(identifier)
    return identifier


@KINDS.add()
def paused(lab: Laboratory) -> str:
    source = lab.container(start=True)
    lab.post(f"/containers/{source}/pause")
    return source


@KINDS.add()
def exited_with_an_error(lab: Laboratory) -> str:
    source = lab.container({"Cmd": ["/bin/false"]}, start=True)
    lab.post(f"/containers/{source}/wait")
    return source


@KINDS.add(restless=True)
def restarting(lab: Laboratory) -> str:
    source = lab.container({"Cmd": ["/bin/false"], "HostConfig": {"RestartPolicy": {"Name": "always"}}}, start=True)
    wait_until(lambda: bool(lab.inspect(source)["RestartCount"]), what="a restart")
    return source


@KINDS.add()
def changed_while_it_ran(lab: Laboratory) -> str:
    source = lab.container({"HostConfig": {"Memory": 64 * 2**20}}, start=True)
    change = {"Memory": 48 * 2**20, "MemorySwap": 96 * 2**20, "CpuShares": 256, "RestartPolicy": {"Name": "always"}}
    lab.post(f"/containers/{source}/update", change)
    lab.post(f"/containers/{source}/rename", name=f"{lab.word}-renamed")
    return source


@KINDS.add()
def network_switched_off(lab: Laboratory) -> str:
    return lab.container({"NetworkDisabled": True}, start=True)


@KINDS.every
def test_a_clone_equals_its_source_before_and_after_its_start(
    kind: Kind, lab: Laboratory, gateway: EngineGateway
) -> None:
    check_clone(kind, lab, gateway)
