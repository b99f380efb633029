"""What the measured containers and volumes hold."""

from __future__ import annotations

from dataclasses import dataclass

# Half of it noise, half of it lines of numbers, in files of 8 MiB each.
_MIXED = (
    "for i in $(seq {count}); do dd if=/dev/urandom of={folder}/$i.noise bs=1M count=8 2>/dev/null;"
    " seq $((i * 3000000)) $((i * 3000000 + 2000000)) | head -c 8388608 >{folder}/$i.lines; done"
)
_SMALL = (
    "text=$(head -c 4000 /dev/urandom | hexdump -v -e '/1 \"%02x\"');"
    " for d in $(seq 300); do mkdir {folder}/$d; for i in $(seq 200); do echo $d $i $text >{folder}/$d/$i; done; done"
)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """`fill`: a shell command that fills `{folder}`. `large`: `gzip` alone would take minutes for it."""

    name: str
    fill: str
    large: bool = False

    def command(self, folder: str) -> str:
        """The command for this folder, which it makes."""
        return f"mkdir -p {folder}; " + self.fill.format(folder=folder)


def mixed(mebibytes: int) -> Shape:
    """So much in files of 8 MiB, a multiple of 16 MiB."""
    fill = _MIXED.replace("{count}", str(mebibytes // 16))
    name = f"{mebibytes / 1024:g} GiB" if mebibytes >= 1024 else f"{mebibytes} MiB"
    return Shape(name=f"{name} in files of 8 MiB", fill=fill, large=mebibytes > 1024)


SMALL_FILES = Shape(name="60,000 files of 8 kB", fill=_SMALL)
FIVE_MEBIBYTES = Shape(name="5 MiB", fill="dd if=/dev/urandom of={folder}/noise bs=1M count=5 2>/dev/null")
