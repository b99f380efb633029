"""Sources that are special by what they mount, cloned on every Engine."""

from __future__ import annotations

from pathlib import Path

from containers_app.engine.gateway import EngineGateway
from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.laboratory import Kind, Kinds, Laboratory, check_clone

KINDS = Kinds()


@KINDS.add()
def temporary_file_systems(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"Tmpfs": {"/run": "rw,size=1m,mode=755", "/scratch": ""}}}, start=True)


@KINDS.add()
def named_and_anonymous_volumes(lab: Laboratory) -> str:
    binds = [f"{lab.volume('one')}:/one", f"{lab.volume('two')}:/two:ro"]
    return lab.container({"Volumes": {"/fresh": {}, "/fresher": {}}, "HostConfig": {"Binds": binds}}, start=True)


@KINDS.add()
def anonymous_volume_kept_by_name(lab: Laboratory) -> str:
    lab.volumes.append("a1" * 32)
    return lab.container({"Volumes": {"/kept": {}}, "HostConfig": {"Binds": [f"{'a1' * 32}:/kept:rw"]}})


@KINDS.add()
def host_folders(lab: Laboratory) -> str:
    one, two, three = (lab.host_folder(name) for name in ("one", "two", "three"))
    return lab.container({"HostConfig": {"Binds": [f"{one}:/one", f"{two}:/two:ro", f"{three}:/three:ro,rprivate"]}})


@KINDS.add()
def mounts_of_every_type(lab: Laboratory) -> str:
    mounts = [
        {"Type": "volume", "Target": "/fresh"},
        {"Type": "volume", "Source": lab.volume("m"), "Target": "/named", "VolumeOptions": {"NoCopy": True}},
        {"Type": "bind", "Source": lab.host_folder("b"), "Target": "/b", "BindOptions": {"Propagation": "rprivate"}},
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 65536, "Mode": 0o700}},
    ]
    return lab.container({"HostConfig": {"Mounts": mounts}}, start=True)


@KINDS.add()
def volumes_from_a_live_container(lab: Laboratory) -> str:
    lab.container({"Volumes": {"/data": {}}, "HostConfig": {"Binds": [f"{lab.volume('v')}:/v"]}}, name="giver")
    return lab.container({"HostConfig": {"VolumesFrom": [f"{lab.word}-giver:ro"]}}, start=True)


@KINDS.add()
def volumes_from_a_removed_container(lab: Laboratory) -> str:
    binds = [f"{lab.volume('v')}:/v", f"{lab.host_folder('given')}:/h:ro"]
    giver = lab.container({"Volumes": {"/data": {}}, "HostConfig": {"Binds": binds}}, name="giver")
    source = lab.container({"Volumes": {"/own": {}}, "HostConfig": {"VolumesFrom": [f"{lab.word}-giver"]}}, start=True)
    lab.client.api.remove_container(giver)
    return source


@KINDS.add()
def volumes_from_a_container_made_anew(lab: Laboratory) -> str:
    giver = lab.container({"Volumes": {"/data": {}}}, name="giver")
    source = lab.container({"HostConfig": {"VolumesFrom": [f"{lab.word}-giver"]}}, start=True)
    lab.client.api.remove_container(giver)
    lab.container({"Volumes": {"/data": {}}}, name="giver")
    return source


@KINDS.add()
def volumes_from_two_containers(lab: Laboratory) -> str:
    mounts = [{"Type": "volume", "Target": "/second"}]
    first = lab.container({"Volumes": {"/first": {}}}, name="one")
    lab.container({"HostConfig": {"Mounts": mounts}}, name="two")
    return lab.container({"HostConfig": {"VolumesFrom": [first, f"{lab.word}-two:ro"]}}, start=True)


@KINDS.add()
def volumes_from_a_container_named_like_an_id(lab: Laboratory) -> str:
    lab.container({"Volumes": {"/data": {}}}, name="ab" * 6)
    return lab.container({"HostConfig": {"VolumesFrom": [f"{lab.word}-{'ab' * 6}"]}}, start=True)


@KINDS.add()
def bind_options(lab: Laboratory) -> str:
    binds = [
        f"{lab.volume('v')}:/nocopy:nocopy",
        f"{lab.host_folder('z')}:/z:z",
        f"{lab.host_folder('s')}:/s:ro,private",
    ]
    return lab.container({"HostConfig": {"Binds": binds}})


@KINDS.add()
def folder_that_the_engine_makes(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"Binds": [f"{lab.folder}/made/by/the/engine:/made"]}})


@KINDS.add()
def one_file(lab: Laboratory) -> str:
    path = Path(lab.host_folder("files"), "one file, with a comma")
    path.write_text("kept\n")
    mount = {"Type": "bind", "Source": str(path), "Target": "/etc/one", "ReadOnly": True}
    return lab.container({"HostConfig": {"Mounts": [mount]}})


@KINDS.add()
def bind_over_a_volume_of_the_image(lab: Laboratory) -> str:
    image = lab.image("volumes", "VOLUME /data /more")
    return lab.container({"Image": image, "HostConfig": {"Binds": [f"{lab.volume('own')}:/data"]}})


@KINDS.add()
def mount_over_a_volume_of_the_image(lab: Laboratory) -> str:
    image = lab.image("volumes", "VOLUME /data /more")
    mounts = [{"Type": "tmpfs", "Target": "/data"}, {"Type": "volume", "Target": "/more"}]
    return lab.container({"Image": image, "HostConfig": {"Mounts": mounts}}, start=True)


@KINDS.add()
def volume_driver_by_name(lab: Laboratory) -> str:
    lab.volumes.append(f"{lab.word}-driven")
    host = {"VolumeDriver": "local", "Binds": [f"{lab.word}-driven:/data"]}
    return lab.container({"HostConfig": host, "Volumes": {"/fresh": {}}})


@KINDS.add()
def volume_with_labels_and_driver_options(lab: Laboratory) -> str:
    lab.volumes.append(f"{lab.word}-options")
    driver = {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}}
    options = {"Labels": {"a": "b", "": "c"}, "DriverConfig": driver}
    named = {"Type": "volume", "Source": f"{lab.word}-options", "Target": "/named", "VolumeOptions": options}
    unnamed = {"Type": "volume", "Target": "/unnamed", "VolumeOptions": options}
    return lab.container({"HostConfig": {"Mounts": [named, unnamed]}}, start=True)


@KINDS.add()
def bind_mount_without_what_is_below(lab: Laboratory) -> str:
    options = {"NonRecursive": True, "Propagation": "private"}
    mount = {"Type": "bind", "Source": lab.host_folder("b"), "Target": "/b", "BindOptions": options}
    return lab.container({"HostConfig": {"Mounts": [{**mount, "Consistency": "cached"}]}})


@KINDS.add(api=(1, 43))
def folder_that_a_mount_makes(lab: Laboratory) -> str:
    options = {"CreateMountpoint": True}
    mount = {"Type": "bind", "Source": f"{lab.folder}/new/one", "Target": "/new", "BindOptions": options}
    return lab.container({"HostConfig": {"Mounts": [mount]}})


@KINDS.add(api=(1, 44))
def read_only_without_what_is_below(lab: Laboratory) -> str:
    mount = {"Type": "bind", "Source": lab.host_folder("b"), "Target": "/b", "ReadOnly": True}
    return lab.container({"HostConfig": {"Mounts": [{**mount, "BindOptions": {"ReadOnlyNonRecursive": True}}]}})


@KINDS.add(api=(1, 44), kernel=True)
def read_only_with_what_is_below(lab: Laboratory) -> str:
    options = {"ReadOnlyForceRecursive": True, "Propagation": "rprivate"}
    mount = {"Type": "bind", "Source": lab.host_folder("b"), "Target": "/b", "ReadOnly": True, "BindOptions": options}
    return lab.container({"HostConfig": {"Mounts": [mount]}})


@KINDS.add(api=(1, 45))
def part_of_a_volume(lab: Laboratory) -> str:
    volume = lab.volume("parts")
    filler = {"Cmd": ["mkdir", "-p", "/v/inner/most"], "HostConfig": {"Binds": [f"{volume}:/v"]}}
    lab.post(f"/containers/{lab.container(filler, name='filler', start=True)}/wait")
    mount = {"Type": "volume", "Source": volume, "Target": "/part", "VolumeOptions": {"Subpath": "inner/most"}}
    return lab.container({"HostConfig": {"Mounts": [mount]}}, start=True)


@KINDS.add(api=(1, 46))
def temporary_file_system_with_options(lab: Laboratory) -> str:
    options = {"SizeBytes": 2**20, "Mode": 0o1777, "Options": [["noexec"]]}
    return lab.container({"HostConfig": {"Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": options}]}})


@KINDS.add(api=(1, 48), kernel=True)
def part_of_an_image(lab: Laboratory) -> str:
    part = {"Type": "image", "Source": SAMPLE_IMAGE, "Target": "/part", "ImageOptions": {"Subpath": "var/www"}}
    return lab.container({"HostConfig": {"Mounts": [part]}})


@KINDS.every
def test_a_clone_equals_its_source_before_and_after_its_start(
    kind: Kind, lab: Laboratory, gateway: EngineGateway
) -> None:
    check_clone(kind, lab, gateway)
