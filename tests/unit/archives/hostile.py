"""The catalogue of hostile archives, each with the words that must refuse it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable

from tests.unit.archives.samples import (
    BLOCK,
    END_MARKER,
    Member,
    header,
    octal,
    pax_header,
    sparse_member,
    tar_of,
)

MIB, TIB = 1024**2, 1024**4


def folder(name: str) -> Member:
    return Member(name, typeflag=tarfile.DIRTYPE)


def link(name: str, target: str) -> Member:
    return Member(name, typeflag=tarfile.SYMTYPE, target=target)


def hard_link(name: str, target: str) -> Member:
    return Member(name, typeflag=tarfile.LNKTYPE, target=target)


def named(name: bytes, kind: bytes = b"0") -> bytes:
    """A member with a name of any bytes and length."""
    return pax_header(b"path=" + name) + header(kind) + END_MARKER


def many_headers(listed: Iterable[bytes]) -> bytes:
    return b"".join(listed) + END_MARKER


def path_max_chain() -> bytes:
    """CVE-2025-4517: folders and links so long together that `os.path.realpath` gives up before their end."""
    component, steps, path, listed = "d" * 247, "abcdefghijklmnop", "", []
    for step in steps:
        listed += [folder(path + component), link(path + step, component)]
        path += component + "/"
    leap = "/".join(steps) + "/" + "l" * 254
    listed += [
        link(leap, "../" * len(steps)),
        link("escape", leap + "/../../../../../../../etc"),
        hard_link("flag", "escape/passwd"),
        Member("flag", b"overwritten"),
    ]
    return tar_of(listed)


# Row of the catalogue, archive, words of the refusal.
CATALOGUE: list[tuple[str, bytes, str]] = [
    ("T01 nothing", b"", "broke off"),
    ("T01 one byte", b"x", "broke off"),
    ("T01 511 bytes", b"x" * 511, "broke off"),
    ("T01 random bytes", bytes(range(256)) * 8, "next header"),
    ("T01 a picture", b"\xff\xd8\xff\xe0" + b"jpeg" * 400, "next header"),
    ("T01 a zip file", b"PK\x03\x04" + b"zip!" * 400, "next header"),
    ("T03 cut between members", tar_of([Member("a"), Member("b")]).removesuffix(END_MARKER), "broke off after 2"),
    ("T03 cut in a member", tar_of([Member("a", b"x" * 9000)])[:4000], "broke off"),
    ("T05 a second archive", tar_of([Member("a")]) + tar_of([Member("b")]), "trailing data"),
    ("T05 an error at the end", tar_of([Member("a")]) + b'{"message":"unexpected EOF"}', "trailing data"),
    ("T07 absolute", tar_of([Member("/etc/cron.d/x")]), "'/etc/cron.d/x' has an absolute path"),
    ("T07 absolute, twice", named(b"//x"), "absolute path"),
    ("T07 absolute in Windows", tar_of([Member("C:\\x")]), "absolute path"),
    ("T07 upwards", tar_of([Member("../x")]), "has .. in its path"),
    ("T07 upwards later", tar_of([Member("a/../../x")]), "has .. in its path"),
    ("T07 upwards at the end", tar_of([folder("a/..")]), "has .. in its path"),
    ("T07 upwards in a long name", named(b"a/" * 60 + b"../x"), "has .. in its path"),
    ("T07 NUL", named(b"a\0/../b"), "NUL"),
    ("T07 upwards as a sparse file", sparse_member(b"../x", 0, text=b"0\n") + END_MARKER, "has .. in its path"),
    ("T09 through a link", tar_of([link("a", "/etc"), Member("a/cron.d/x")]), "leads through 'a', which is a symlink"),
    ("T09 through a link that comes later", tar_of([Member("a/x"), link("a", "/etc")]), "stands twice"),
    ("T09 through a chain", tar_of([link("a", "b"), link("b", ".."), Member("a/b/x")]), "leads through 'a'"),
    ("T09 a link through a link", tar_of([link("a", "."), link("a/b", ".."), Member("b/x")]), "leads through 'a'"),
    ("T09 a folder through a link", tar_of([link("a", "/etc"), folder("./a//b/")]), "leads through 'a'"),
    ("T09 a folder in the place of a link", tar_of([link("a", "/etc"), folder("a"), Member("a/b")]), "stands twice"),
    ("T09 through a hard link to a link", tar_of([link("a", ".."), hard_link("b", "a"), Member("b/x")]), "through"),
    ("T11 a hard link, absolute", tar_of([hard_link("a", "/etc/shadow")]), "hard link that leaves the tree"),
    ("T11 a hard link upwards", tar_of([hard_link("a", "../../x")]), "hard link that leaves the tree"),
    ("T11 a hard link to a later member", tar_of([hard_link("a", "b"), Member("b")]), "not a file before it"),
    ("T11 a hard link to itself", tar_of([hard_link("a", "a")]), "not a file before it"),
    ("T11 a hard link to a folder", tar_of([folder("b"), hard_link("a", "b")]), "not a file before it"),
    ("T11 a hard link to an implied folder", tar_of([Member("b/c"), hard_link("a", "b")]), "not a file before it"),
    ("T11 a hard link through a link", tar_of([link("a", "/etc"), hard_link("b", "a/shadow")]), "not a file before it"),
    ("T13 CVE-2025-4517", path_max_chain(), "leads through"),
    ("T15 a character device", tar_of([Member("a", typeflag=tarfile.CHRTYPE)]), "is a device"),
    ("T15 a block device", tar_of([Member("a", typeflag=tarfile.BLKTYPE)]), "is a device"),
    ("T17 a file twice", tar_of([Member("a"), Member("a", b"other")]), "stands twice"),
    ("T17 one name, two spellings", tar_of([Member("a"), Member("./a")]), "stands twice"),
    ("T17 a file, then a folder", tar_of([Member("a"), folder("a")]), "it is a folder, and a file before"),
    ("T17 a folder, then a file", tar_of([folder("a"), Member("a")]), "it is a file, and a folder before"),
    ("T17 a file, then below it", tar_of([Member("a"), Member("a/b")]), "leads through 'a', which is a file"),
    ("T17 a file in the root's place", tar_of([Member(".")]), "ends like that of a folder"),
    ("T17 a file that is called a folder", tar_of([Member("a/.")]), "ends like that of a folder"),
    ("T19 5,000 bytes", named(b"n/" * 2500 + b"n"), "more than 4096 bytes"),
    ("T19 10,000 folders", named(b"d/" * 10_000 + b"x"), "more than 4096 bytes"),
    ("T19 a long component", named(b"n" * 256), "more than 255 bytes"),
    ("T19 a long target", pax_header(b"linkpath=" + b"t" * 4097) + header(b"2") + END_MARKER, "more than 4096 bytes"),
    ("T25 a pax header of 800 MB", header(b"x", size_field=octal(800 * MIB)), "header has 838860800 bytes"),
    ("T25 a long name of 1 GB", header(b"L", size_field=octal(1024 * MIB)), "header has 1073741824 bytes"),
    ("T25 100,000 records", many_headers([pax_header(*[b"a=b"] * 100_000), header(b"0")]), "more than 10000 records"),
    ("T29 multi-volume", header(b"M") + END_MARKER, "not supported"),
    ("T29 incremental", header(b"D") + END_MARKER, "not supported"),
    ("T29 unknown type", header(b"Z") + END_MARKER, "not supported"),
    ("T29 a record of a vendor", pax_header(b"ACME.run=x") + header(b"0") + END_MARKER, "'ACME.run'"),
    ("T29 dumped folders", pax_header(b"GNU.dumpdir=x") + header(b"5") + END_MARKER, "'GNU.dumpdir'"),
    ("T29 old sparse", header(b"S") + END_MARKER, "sparse"),
    ("M15 8 TiB sparse", sparse_member(b"a", 8 * TIB, text=b"0\n") + END_MARKER, "more than 2199023255552 bytes"),
    ("M15 sparse map too long", sparse_member(b"a", 9, text=b"1\n5\n5\n") + END_MARKER, "beyond its end"),
    ("M15 sparse map cut", sparse_member(b"a", 9, text=b"9\n") + END_MARKER, "map is cut"),
    ("M15 sparse without a map", pax_header(b"size=0", *[
        b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.name=a", b"GNU.sparse.realsize=9"
    ]) + header(b"0") + END_MARKER, "map is cut"),
    ("M15 8 EiB in a header", pax_header(b"size=%d" % (2**63 - 1)) + header(b"0") + bytes(BLOCK), "more than 219902"),
]  # fmt: skip
