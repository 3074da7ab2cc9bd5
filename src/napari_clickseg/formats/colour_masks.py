"""Masks in which a colour stands for a class: named by a palette that the user confirms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.images import open_image
from napari_clickseg.formats.annotated import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy.typing as npt

_MOST = 64  # colours of a mask; more are those of a photograph, or of blurred edges
_ENTRY = re.compile(r"(#[0-9a-fA-F]{6})=(.+)")
BACKGROUND = "background"

Palette = dict[str, int]  # the id of each colour, #rrggbb; 0 is the background


def holds_colours(path: Path) -> bool:
    """Whether a mask holds colours, not ids.

    Raises
    ------
    ImageError
        If it can't be read.
    """
    stored = open_image(path, ids=True)
    if stored.stack_axes:
        return False
    return stored.plane().rgb


def _pixels(path: Path) -> npt.NDArray[np.uint32]:
    """Return each pixel's colour as a number, 0xrrggbb."""
    stored = open_image(path, ids=True)
    if stored.lossy:
        raise ImageError(f"{path} is compressed as a JPEG is, which blurs colours; give a PNG.")
    values = stored.plane().read_all()
    if values.dtype != np.uint8:
        raise ImageError(f"{path} has colours of {values.dtype}; save it with 8 bits a channel.")
    wide = values.astype(np.uint32)
    packed = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    return np.asarray(packed, np.uint32)


def colours_of(paths: Iterable[Path]) -> dict[str, int]:
    """Count the pixels of each colour in masks.

    Raises
    ------
    FormatError
        If there are so many that they can't stand for classes.
    """
    count: dict[str, int] = {}
    for path in paths:
        colours, pixels = np.unique(_pixels(path), return_counts=True)
        if len(colours) > _MOST:
            raise FormatError(
                f"{path} holds {len(colours):,} colours, too many to stand for classes; save it "
                "without smoothing, as PNG."
            )
        for colour, n in zip(colours.tolist(), pixels.tolist(), strict=True):
            name = f"#{colour:06x}"
            count[name] = count.get(name, 0) + n
    if len(count) > _MOST:
        raise FormatError(f"The masks hold {len(count):,} colours, too many to stand for classes.")
    return count


def confirmed(count: Mapping[str, int], palette: str | None) -> tuple[Palette, ProjectClasses]:
    """Return the id of each colour, as the user names them.

    Parameters
    ----------
    count : mapping of str to int
        As `colours_of` returns it.
    palette : str, optional
        "#000000=background,#ff0000=nucleus", or "yes" to take black for the background and name
        each other colour after itself.

    Raises
    ------
    FormatError
        If it is not given, names no class, or leaves a colour out; the message lists them all.
    """
    if palette is None:
        raise FormatError(
            f"The masks hold {_listed(count)}. Say what the colours mean: --palette "
            f"'{_example(count)}', or --palette yes, which takes black for the background."
        )
    if palette.strip().lower() == "yes":
        named = {c: BACKGROUND if c == "#000000" else c for c in sorted(count)}
    else:
        named = _read(palette)
    missing = {colour: n for colour, n in count.items() if colour not in named}
    if missing:
        raise FormatError(
            f"The palette does not say what {_listed(missing)} mean; add them, or name them "
            f"{BACKGROUND}."
        )
    names = [name for name in dict.fromkeys(named.values()) if name != BACKGROUND]
    if not names:
        raise FormatError("The palette names no class; all colours are background.")
    number = {name: i for i, name in enumerate(names, 1)}
    ids = {colour: number.get(name, 0) for colour, name in named.items()}
    first = {name: next(c for c, n in named.items() if n == name) for name in names}
    classes = tuple(ProjectClass(id=number[n], name=n, colour=first[n]) for n in names)
    return ids, ProjectClasses(scheme="classes", classes=classes)


def ids_by_colour(path: Path, palette: Palette) -> npt.NDArray[Any]:
    """Return the ids that the colours of a mask stand for."""
    colours, at = np.unique(_pixels(path), return_inverse=True)
    ids = np.array([palette[f"#{colour:06x}"] for colour in colours.tolist()], np.uint8)
    return np.asarray(
        ids[at.reshape(-1)].reshape(at.shape if at.ndim == 2 else _pixels(path).shape)
    )


def _read(palette: str) -> dict[str, str]:
    named = {}
    for part in palette.split(","):
        match = _ENTRY.fullmatch(part.strip())
        if match is None:
            raise FormatError(f"'{part.strip()}' is no #rrggbb=name of a palette.")
        named[match[1].lower()] = match[2].strip()
    return named


def _listed(count: Mapping[str, int]) -> str:
    total = sum(count.values())
    ordered = sorted(count.items(), key=lambda one: -one[1])
    shown = ", ".join(f"{colour} ({100 * n / total:.2g} %)" for colour, n in ordered)
    return f"the colour{'s' if len(count) > 1 else ''} {shown}"


def _example(count: Mapping[str, int]) -> str:
    ordered = sorted(count, key=lambda one: -count[one])[:3]
    names = (BACKGROUND if colour == "#000000" else "NAME" for colour in ordered)
    return ",".join(f"{colour}={name}" for colour, name in zip(ordered, names, strict=True))
