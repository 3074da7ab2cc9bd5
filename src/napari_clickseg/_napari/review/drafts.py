"""Corrections that are not accepted yet, kept on disk so that nothing of them is lost.

They lie with the user's own data, not in the project: that may be read-only, or shared with
somebody who reviews it as well. All of this runs on one worker thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.data.annotations import Annotations, ProjectClick
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.names import safe_name
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Correction", "DraftFile", "Pending", "drafts_of", "place_of"]

_BARE = "bare"  # drafts of images that had no mask


@dataclass(frozen=True, slots=True)
class Pending:
    """An object that was being made.

    Parameters
    ----------
    clicks : tuple of ProjectClick
    settled : int
        How many of them the start answers already.
    start : Patch, optional
        The mask that it began with.
    editing : int, optional
        The id of the object in the annotation layer that it corrects, with the pixels of `start`.
    """

    clicks: tuple[ProjectClick, ...] = ()
    settled: int = 0
    start: Patch | None = None
    editing: int | None = None

    def __bool__(self) -> bool:
        return len(self.clicks) > self.settled


@dataclass(frozen=True, eq=False, slots=True)
class Correction:
    """What the user made of an image.

    Parameters
    ----------
    labels : int (Y, X)
        Ids.
    notes : Annotations
        Clicks and classes of the objects.
    classes : ProjectClasses, optional
        What ids mean.
    pending : Pending
        What is not in the labels yet.
    """

    labels: npt.NDArray[Any]
    notes: Annotations = field(default_factory=Annotations)
    classes: ProjectClasses | None = None
    pending: Pending = field(default_factory=Pending)


class _Head(BaseModel):
    """What a draft's file says beside its pixels."""

    model_config = ConfigDict(frozen=True)

    version: int = 1
    notes: Annotations = Annotations()
    classes: ProjectClasses | None = None
    clicks: tuple[ProjectClick, ...] = ()
    settled: int = 0
    corner: tuple[int, int] | None = None
    editing: int | None = None


class DraftFile:
    """The draft of one image.

    Parameters
    ----------
    home : Path
        Where the program keeps what is the user's.
    project : Path
        The project's folder.
    image : str
        As in `Record.name`.
    base : str
        `masks.file_digest` of the mask that is corrected; empty where there is none: a draft is
        never taken for one of another mask.
    """

    def __init__(self, home: Path, project: Path, image: str, base: str = "") -> None:
        name = f"{_stem(image)}-{base[:8] or _BARE}.npz"
        self.path = place_of(home, project) / name
        self._opened = 0
        self._written: tuple[int, Pending] | None = None

    def begin(self, labels: npt.NDArray[Any]) -> None:
        """Say what was there before the user changed anything."""
        self._opened = _sum(labels)

    def load(self, shape: tuple[int, ...]) -> Correction | None:
        """Return the draft; None if there is none, or it is broken, or of another shape."""
        try:
            # Opened here, as numpy leaves a broken file open.
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                head = _Head.model_validate_json(str(file["head"]))
                labels, mask = file["labels"], file["start"]
            if labels.shape != tuple(shape):
                raise ValueError("the image is another one")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, ValidationError):
            with contextlib.suppress(OSError):  # perhaps somebody can make something of it
                self.path.replace(self.path.with_suffix(".broken"))
            return None
        start = None
        if head.corner is not None:
            start = Patch(Box(*head.corner, *mask.shape), mask)
        pending = Pending(head.clicks, head.settled, start, head.editing)
        found = Correction(labels, head.notes, head.classes, pending)
        self._written = _sum(labels), pending
        return found

    def keep(self, correction: Correction) -> bool:
        """Write the draft if there is something in it that is not on disk.

        Returns
        -------
        bool
            Whether there are corrections. A draft without any is removed.

        Raises
        ------
        OSError
            If it can't be written.
        """
        now = _sum(correction.labels), correction.pending
        if now[0] == self._opened and not correction.pending:
            self.drop()
            return False
        if now != self._written:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, lambda path: _write(path, correction))
            self._written = now
        return True

    def drop(self) -> None:
        """Remove the draft."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self._written = None


def place_of(home: Path, project: Path) -> Path:
    """Return the folder with what is kept for a project."""
    project = project.resolve()
    return home / "review" / f"{safe_name(project.name)}-{_digest(str(project))}"


def drafts_of(home: Path, project: Path, images: Collection[str]) -> frozenset[str]:
    """Return the images that have a draft."""
    try:
        names = [path.stem for path in place_of(home, project).glob("*.npz")]
    except OSError:
        return frozenset()
    stems = {name.rpartition("-")[0] for name in names}
    return frozenset(image for image in images if _stem(image) in stems) if stems else frozenset()


def _write(path: Path, correction: Correction) -> None:
    pending = correction.pending
    start = pending.start
    head = _Head(
        notes=correction.notes,
        classes=correction.classes,
        clicks=pending.clicks,
        settled=pending.settled,
        corner=(start.box.top, start.box.left) if start is not None else None,
        editing=pending.editing,
    )
    mask = start.mask if start is not None else np.zeros((0, 0), bool)
    np.savez_compressed(
        path, head=np.array(head.model_dump_json()), labels=correction.labels, start=mask
    )


def _stem(image: str) -> str:
    return f"{safe_name(Path(image).stem)[:60]}-{_digest(image)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _sum(labels: npt.NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(labels, np.uint32).data)
