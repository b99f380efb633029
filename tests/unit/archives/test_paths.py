from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.archives.stores import paths as module
from containers_app.errors import InvalidRequest

ROOTS = ("/backups/containers", "/mnt/nas", "/mnt/nas/vault", "/srv/my backups")

HOSTILE_PATHS = [
    "../../etc/cron.d/x",
    "a/../../b",
    "..\\..\\x",
    "%2e%2e/",
    "....//",
    "/etc/passwd",
    "/proc/self/environ",
    "/dev/sda",
    "~root",
    "$HOME",
    "file:///etc",
    "C:\\x",
    "\\\\nas\\x",
    "//nas/share",
    "",
    "/",
    "//",
    ".",
    "..",
    "./a",
    "a/./b",
    "a//b",
    "a//",
    "/backups",
    "/backups/containers-evil",
    "/backups/containersx/y",
    "/backups/containers/../x",
    "/backups/./containers/x",
    "//backups/containers",
    "/BACKUPS/CONTAINERS",
    "backups\x00/x",
    "a\nb",
    "a\n",
    "a\u2028b",
    "a\u202eb",
    "a\x1b[2J",
    "\ud800",
    " a",
    "a b",
    "-rf",
    ".hidden",
    "/backups/containers/.hidden",
    "/backups/containers/;id",
    "ünicode",
    "a" * 101,
    "/".join("abcdefghi"),
    "/".join(["a" * 60] * 5),
]

HOSTILE_NAMES = [
    "x.tar\u0000.png",
    "x.tar\n",
    "x\ny.tar",
    "-rf",
    "--checkpoint-action=exec=sh",
    "",
    ".",
    "..",
    ".hidden.tar",
    "a/b.tar",
    "/etc/passwd",
    "a\\b.tar",
    "a b.tar",
    "ä.tar",
    "x\u202e.tar",
    "\ud800.tar",
    "$(id).tar",
    "x.manifest.json",
    "x.tar.manifest.json",
    "x.MANIFEST.JSON",
    "x.partial",
    "x.Partial",
    "a" * 201,
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_it_refuses_a_hostile_path_and_says_where_backups_may_go(path: str):
    with pytest.raises(InvalidRequest) as caught:
        module.locate(ROOTS, path, "x.tar")
    assert caught.value.field == "options.path"
    assert all(root in caught.value.message for root in ROOTS)
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_it_refuses_a_hostile_name(name: str):
    with pytest.raises(InvalidRequest) as caught:
        module.locate(ROOTS, None, name)
    assert caught.value.field == "options.name"
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("path", "root", "folders"),
    [
        (None, "/backups/containers", ()),
        ("/backups/containers", "/backups/containers", ()),
        ("/backups/containers/", "/backups/containers", ()),
        ("/backups/containers/team/web", "/backups/containers", ("team", "web")),
        ("team", "/backups/containers", ("team",)),
        ("team/", "/backups/containers", ("team",)),
        ("a/b/c/d/e/f/g/h", "/backups/containers", tuple("abcdefgh")),
        ("etc/passwd", "/backups/containers", ("etc", "passwd")),
        ("a" * 100, "/backups/containers", ("a" * 100,)),
        ("/mnt/nas/2026.02", "/mnt/nas", ("2026.02",)),
        ("/mnt/nas/vault/x", "/mnt/nas/vault", ("x",)),
        ("/srv/my backups/x", "/srv/my backups", ("x",)),
    ],
)
def test_it_finds_the_root_and_the_folders(path: str | None, root: str, folders: tuple[str, ...]):
    location = module.locate(ROOTS, path, "x.tar")
    assert location == module.Location(root=root, folders=folders, name="x.tar")


@pytest.mark.parametrize("name", ["container-backup-2026-02-12T03-20-00.tar", "_x", "0", "a" * 200, "x.partial.tar"])
def test_it_accepts_plain_names(name: str):
    assert module.locate(ROOTS, None, name).name == name


@given(path=st.text(max_size=60), name=st.text(max_size=40))
def test_whatever_is_accepted_stays_below_its_root(path: str, name: str):
    try:
        location = module.locate(ROOTS, path, name)
    except InvalidRequest:
        return
    parts = (*location.folders, location.name)
    assert not any(part.startswith((".", "-")) or "/" in part or not part.isascii() for part in parts)


@pytest.mark.parametrize(
    "roots", [(), ("relative",), ("/",), ("",), ("/a/../b",), ("/a//b",), ("/a/./b",), ("/a\nb",), ("/ok", "bad")]
)
def test_it_refuses_roots_that_are_not_plain_absolute_folders(roots: tuple[str, ...]):
    with pytest.raises(ValueError, match="root"):
        module.checked_roots(roots)


def test_a_root_may_be_written_with_a_slash_at_its_end():
    assert module.checked_roots(("/backups/", "/mnt")) == ("/backups", "/mnt")


def place(name: str) -> module.Location:
    return module.Location(root="/backups", folders=("team",), name=name)


@pytest.mark.parametrize("operation_id", ["", "../x", "a/b", "a.b", "a\n", "x" * 65])
def test_it_refuses_an_operation_id_that_could_be_a_path(operation_id: str):
    for location in (place("x.tar"), place("x.tar").manifest):
        with pytest.raises(ValueError, match="operation id"):
            location.partial_name(operation_id)


def test_a_manifest_stands_beside_its_archive():
    assert place("x.tar").manifest == place("x.tar.manifest.json")


def test_only_names_that_carry_an_operation_id_of_ours_are_ours():
    operation_id = "0192f0c1-7a3b-7cde-8f01-23456789abcd"
    names = {location.partial_name(operation_id) for location in (place("x.tar"), place("x.tar").manifest)}
    assert len(names) == 2
    for name in names:
        assert module.operation_of_partial(name) == operation_id
    for name in (".download.partial", f"{operation_id}.partial", f".{operation_id}.partial.bak", f".{operation_id}"):
        assert module.operation_of_partial(name) is None
