"""Predictions cleaned up without the model; what it found is kept.

Full resolution, as it was found, lies in `found` of an OME-Zarr group, and of a project's label
maps in `predictions/found/`; so other rules begin from there, and rules that do nothing bring it
back.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.cleanup import CleanUp, cleaned
from napari_clickseg.core.instances.joining import blocks
from napari_clickseg.data.classes import read_classes
from napari_clickseg.data.encode import write_labels
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import is_project
from napari_clickseg.data.review_table import PREDICTIONS, found_names
from napari_clickseg.data.staging import held, staging
from napari_clickseg.data.writer import mask_colours
from napari_clickseg.formats.omezarr import begin_labels, finish_like, saved_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.core.instances.joining import Block

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


def kept_rules(path: Path) -> CleanUp:
    """Return by which rules a prediction was cleaned up; rules that do nothing where it was not.

    Parameters
    ----------
    path : Path
        As of `clean_up`.
    """
    try:
        if path.is_dir():
            said = (saved_in(path) or {}).get("cleanup", {})
        else:
            said = json.loads((path.parent.parent / found_names(path)[1]).read_bytes())
        return CleanUp(**said)
    except (OSError, ValueError, TypeError, RecursionError):
        return CleanUp()


def found_labels(path: Path) -> Any:
    """Return a prediction as the model found it, (Y, X): in memory, or to be read part by part.

    Parameters
    ----------
    path : Path
        As of `clean_up`.

    Raises
    ------
    ImageError
        If it can't be read.
    """
    if path.is_dir():
        import zarr

        root: Any = zarr.open_group(str(path), mode="r")
        return root[_FOUND if _FOUND in root else "0"]
    uncleaned = path.parent.parent / found_names(path)[0]
    return read_labels(uncleaned if uncleaned.is_file() else path)


def clean_up(
    path: Path,
    rules: CleanUp,
    *,
    stop: Callable[[], bool] = lambda: False,
    on_part: Callable[[int, int], object] = lambda *_: None,
) -> Cleaned | None:
    """Clean up a prediction, and keep by which rules; whatever was cleaned before is taken back.

    Parameters
    ----------
    path : Path
        OME-Zarr labels (Y, X) that were written here, or a label map in a project's predictions.
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
    ProjectError, ImageError, OSError
        If they can't be read or written.
    """
    if path.is_dir():
        return _clean_folder(path, rules, stop, on_part)
    project = path.absolute().parent.parent
    if path.absolute().parent.name != PREDICTIONS or not is_project(project) or not path.is_file():
        raise _no_labels(path)
    return _clean_file(project, path, rules, stop, on_part)


def _no_labels(path: Path) -> CleanUpError:
    return CleanUpError(
        f"{path} holds no labels that were written here as OME-Zarr, and is none of a project's "
        "predictions; give what clickseg predict --out X.zarr wrote, or a file of PROJECT/"
        f"{PREDICTIONS}."
    )


def _clean_file(
    project: Path,
    path: Path,
    rules: CleanUp,
    stop: Callable[[], bool],
    on_part: Callable[[int, int], object],
) -> Cleaned | None:
    """Clean up a label map of a project, in one step with what was found, and the rules."""
    before = np.asarray(found_labels(path))
    out = np.zeros_like(before)
    counted = _clean_parts(before, out, rules, stop, on_part)
    if counted is None:
        return None
    colours, (kept, said) = mask_colours(read_classes(project)), found_names(path)
    with held(project), staging(project) as staged:
        staged.put(f"{PREDICTIONS}/{path.name}", lambda at: write_labels(at, out, colours))
        if rules:
            text = json.dumps(asdict(rules)) + "\n"
            staged.put(kept, lambda at: write_labels(at, before, colours))
            staged.put(said, lambda at: at.write_text(text, encoding="utf-8"))
        else:
            staged.remove(kept)
            staged.remove(said)
    return Cleaned(counted[0], len(counted[1]))


def _clean_folder(
    folder: Path,
    rules: CleanUp,
    stop: Callable[[], bool],
    on_part: Callable[[int, int], object],
) -> Cleaned | None:
    """Clean up OME-Zarr labels, in a folder beside them that takes their place."""
    import zarr

    if saved_in(folder) is None:
        raise _no_labels(folder)
    root: Any = zarr.open_group(str(folder), mode="r")
    name = _FOUND if _FOUND in root else "0"
    source = root[name]
    if source.ndim != 2:
        raise CleanUpError(f"{folder} is a stack; only labels of one plane are cleaned up.")
    place = folder.with_name(f"{folder.name}{_ENDING}")
    shutil.rmtree(place, ignore_errors=True)  # of a time that was killed
    try:
        shape = (int(source.shape[0]), int(source.shape[1]))
        out = begin_labels(place / "group", shape, source.dtype)
        counted = _clean_parts(source, out, rules, stop, on_part)
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


def _clean_parts(
    source: Any,
    out: Any,
    rules: CleanUp,
    stop: Callable[[], bool],
    on_part: Callable[[int, int], object],
) -> tuple[int, Any] | None:
    """Clean up part by part; return how many pixels changed, and the ids that are left."""
    shape = (int(source.shape[0]), int(source.shape[1]))
    parts, changed = blocks(shape, _SIDE, rules.margin), 0
    ids: Any = np.zeros(0, source.dtype)
    for number, part in enumerate(parts, 1):
        if stop():
            return None
        before, after = cleaned_part(source, rules, part, shape)
        if before.any():
            changed += int((after != before).sum())
            ids = np.union1d(ids, np.unique(after))
            out[part.core.slices] = after
        on_part(number, len(parts))
    return changed, ids[ids > 0]


def cleaned_part(source: Any, rules: CleanUp, part: Block, shape: tuple[int, int]) -> Any:
    """Return the core of a part as it was found, and as it becomes.

    Parameters
    ----------
    source : array (Y, X)
        What was found.
    rules : CleanUp
        What is done.
    part : Block
        With a margin of `rules.margin`, as far as the image goes.
    shape : (int, int)
        The image's height and width.
    """
    seen = np.asarray(source[part.outer.slices])
    within = part.core.shift(-part.outer.top, -part.outer.left).slices
    before = seen[within]
    if not seen.any():
        return before, before
    return before, cleaned(seen, rules, part.outer, shape)[within]
