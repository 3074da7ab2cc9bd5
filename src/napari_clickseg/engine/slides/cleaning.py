"""A prediction that was written as OME-Zarr, cleaned up without the model; what it found is kept.

Full resolution, as it was found, lies in `found`, so other rules begin from there, and rules that
do nothing bring it back.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.cleanup import CleanUp, cleaned
from napari_clickseg.core.instances.joining import blocks
from napari_clickseg.formats.omezarr import begin_labels, finish_like, saved_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SIDE = 2048  # of the parts that are in memory, without their margin
_ENDING = ".cleaning"
_FOUND = "found"


class CleanUpError(ValueError):
    """Labels that can't be cleaned up; the message says why."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What cleaning up came to.

    Parameters
    ----------
    changed : int
        Pixels that differ from what was found.
    ids : int
        How many ids are left.
    """

    changed: int
    ids: int


def clean_up(
    folder: Path,
    rules: CleanUp,
    *,
    stop: Callable[[], bool] = lambda: False,
    on_part: Callable[[int, int], object] = lambda *_: None,
) -> Cleaned | None:
    """Clean up a prediction, and keep by which rules; whatever was cleaned before is taken back.

    Parameters
    ----------
    folder : Path
        Of OME-Zarr labels (Y, X) that were written here.
    rules : CleanUp
        What is done. The labels are the same as if they were cleaned in one go.
    stop : callable
        Asked before each part; True ends it with everything as it was, and the answer is None.
    on_part : callable
        Called with the number of parts that are done, and how many there are.

    Raises
    ------
    CleanUpError
        If there are no such labels.
    OSError
        If they can't be read or written.
    """
    import zarr

    if saved_in(folder) is None:
        raise CleanUpError(
            f"{folder} holds no labels that were written here as OME-Zarr; give what clickseg "
            "predict --out X.zarr wrote, or the .zarr of a project's predictions."
        )
    root: Any = zarr.open_group(str(folder), mode="r")
    name = _FOUND if _FOUND in root else "0"
    source = root[name]
    if source.ndim != 2:
        raise CleanUpError(f"{folder} is a stack; only labels of one plane are cleaned up.")
    place = folder.with_name(f"{folder.name}{_ENDING}")
    shutil.rmtree(place, ignore_errors=True)  # of a time that was killed
    try:
        counted = _write(source, place / "group", rules, stop, on_part)
        if counted is None:
            return None
        changed, ids = counted
        finish_like(place / "group", folder, set(ids.tolist()), {"cleanup": asdict(rules)})
        shutil.copytree(folder / name, place / "group" / _FOUND)
        if (folder / "objects").is_dir():
            shutil.copytree(folder / "objects", place / "group" / "objects")
        folder.rename(place / "old")
        (place / "group").rename(folder)
    finally:
        if folder.exists():  # else the old one, which is in there, is all there is
            shutil.rmtree(place, ignore_errors=True)
    return Cleaned(changed, len(ids))


def _write(
    source: Any,
    group: Path,
    rules: CleanUp,
    stop: Callable[[], bool],
    on_part: Callable[[int, int], object],
) -> tuple[int, Any] | None:
    """Write full resolution; return how many pixels changed, and the ids that are left."""
    shape = (int(source.shape[0]), int(source.shape[1]))
    out = begin_labels(group, shape, source.dtype)
    parts, changed = blocks(shape, _SIDE, rules.margin), 0
    ids: Any = np.zeros(0, source.dtype)
    for number, part in enumerate(parts, 1):
        if stop():
            return None
        before = np.asarray(source[part.outer.slices])
        if before.any():
            within = part.core.shift(-part.outer.top, -part.outer.left).slices
            after = cleaned(before, rules, part.outer, shape)[within]
            changed += int((after != before[within]).sum())
            ids = np.union1d(ids, np.unique(after))
            out[part.core.slices] = after
        on_part(number, len(parts))
    return changed, ids[ids > 0]
