"""Corrections that are not accepted yet, kept on disk so that nothing of them is lost.

They lie with the user's own data, not in the project: that may be read-only, or shared with
somebody who reviews it as well. All of this runs on one worker thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from napari_clickseg._napari.project.correction import Correction, Pending, labels_digest
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.data.annotations import Annotations, ProjectClick
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.names import safe_name
from napari_clickseg.util.claims import MARK, names_beside, release, take, tidy
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from filelock import BaseFileLock

_BARE = "bare"  # drafts of images that had no mask
_LONGEST = 1 << 26  # bytes of what a draft says beside its pixels


class _Head(BaseModel):
    """What a draft's file says beside its pixels."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    notes: Annotations = Annotations()
    classes: ProjectClasses | None = None
    clicks: tuple[ProjectClick, ...] = ()
    settled: int = Field(0, ge=0)
    corner: tuple[NonNegativeInt, NonNegativeInt] | None = None
    editing: int | None = Field(None, ge=1)
    reading: int = Field(0, ge=0)
    complete: bool | None = None


class DraftFile:
    """The draft of one image.

    A draft belongs to whoever works on the image: it is claimed by a lock of the system's, which
    ends with its owner, however that ends. Who comes second gets a file beside it, so that nobody
    writes over what another window, or another program, keeps.

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
        self.base = base
        self._main = place_of(home, project) / f"{_stem(image)}-{base[:8] or _BARE}.npz"
        self.path = self._main
        self.broken: Path | None = None  # where a draft is that could not be read
        self._claim: BaseFileLock | None = None
        self._opened = 0
        self._written: tuple[int, Pending] | None = None
        self._noted: tuple[int, Pending] | None = None  # edits, and what was pending, by then
        self._seen: tuple[int, int, int] | None = (
            None  # the file as this program has written or read it
        )

    @property
    def is_second(self) -> bool:
        """Whether somebody else works on the image."""
        return self.path != self._main

    def claim(self) -> None:
        """Take the draft, or one beside it where somebody else works on the image.

        What killed programs left beside the drafts goes: unfinished files, and their locks.
        """
        tidy(self._main.parent)
        for path in names_beside(self._main):
            free, claim = take(path)
            if free:
                self.path, self._claim = path, claim
                break
        if not self.is_second and not self._main.exists():
            self._take_over()

    def release(self) -> None:
        """Let others take the draft."""
        claim, self._claim = self._claim, None
        release(claim)

    def begin(self, labels: npt.NDArray[Any]) -> None:
        """Say what was there before the user changed anything."""
        self._opened, self._noted = labels_digest(labels), None

    def load(self, shape: tuple[int, ...]) -> Correction | None:
        """Return the draft; None if there is none, or it is broken, or of another shape.

        Who comes second sees what the first one has kept so far.
        """
        self._seen = _stamp(self.path)
        source = self.path if self._seen is not None else self._main
        try:
            draft = read_draft(source, shape)
        except FileNotFoundError:
            return None
        except ValueError:
            if source == self.path:  # else it is somebody else's
                self._put_aside()
            return None
        self._written = labels_digest(draft.labels), draft.pending
        return draft

    def beside(self, shape: tuple[int, ...]) -> Correction | None:
        """Return the latest of the drafts that others kept beside this one, if there is one."""
        others = {self._main, *self._main.parent.glob(f"{self._main.stem}{MARK}*.npz")}
        others -= {self.path}
        dated = [(stamp, path) for path in others if (stamp := _stamp(path)) is not None]
        for _, path in sorted(dated, reverse=True):
            with contextlib.suppress(OSError, ValueError):
                return read_draft(path, shape)
        return None

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
        now, there = (labels_digest(correction.labels), correction.pending), _stamp(self.path)
        if now[0] == self._opened and not correction.pending:
            if there == self._seen:
                self.drop()
            return False
        lost = self._seen is not None and there is None
        if now != self._written or lost:
            if there is not None and there != self._seen:  # where a drive knows no locks
                self._step_aside()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, lambda path: _write(path, correction))
            self._written, self._seen = now, _stamp(self.path)
        return True

    def note(self, edits: int, pending: Pending) -> None:
        """Note that all was kept that was made by so many edits."""
        self._noted = edits, pending

    def begun_at(self, edits: int, pending: Pending) -> bool | None:
        """Return whether there are corrections, without a look at them; None if it takes one."""
        if self._noted != (edits, pending) or _stamp(self.path) != self._seen:
            return None
        return self._written is not None

    def drop(self) -> None:
        """Remove the draft."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self._written = self._seen = None

    def _take_over(self) -> None:
        """Go on with what somebody who came second kept, and nobody works on any more."""
        for path in itertools.takewhile(
            Path.exists, itertools.islice(names_beside(self._main), 1, None)
        ):
            free, claim = take(path)
            if free:
                with contextlib.suppress(OSError):
                    path.replace(self._main)
                release(claim)
                return

    def _step_aside(self) -> None:
        self.path = next(path for path in names_beside(self._main) if not path.exists())

    def _put_aside(self) -> None:
        broken = self.path.with_suffix(".broken")
        with contextlib.suppress(OSError):  # perhaps somebody can make something of it
            self.path.replace(broken)
            self.broken = broken


def read_draft(path: Path, shape: tuple[int, ...]) -> Correction:
    """Read a draft; nothing in the file is believed before it was looked at.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is broken, or of an image of another shape.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = str(_array(archive, "head", lambda stored: stored == ()))
            labels = _array(archive, "labels", lambda stored: stored == tuple(shape))
            mask = _array(archive, "start", lambda stored: _fits(stored, tuple(shape)))
        head = _Head.model_validate_json(text)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is broken.") from error
    ids = labels.dtype.kind in "ui" and int(labels.min(initial=0)) >= 0
    box = Box(*head.corner, *mask.shape) if head.corner is not None else None
    inside = box is None or (box.bottom <= shape[0] and box.right <= shape[1])
    if not ids or mask.dtype != bool or not inside or head.settled > len(head.clicks):
        raise ValueError(f"{path} makes no sense.")
    start = Patch(box, mask) if box is not None else None
    pending = Pending(head.clicks, head.settled, start, head.editing, head.reading, head.complete)
    return Correction(labels, head.notes, head.classes, pending)


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
        reading=pending.reading,
        complete=pending.complete,
    )
    mask = start.mask if start is not None else np.zeros((0, 0), bool)
    np.savez_compressed(
        path, head=np.array(head.model_dump_json()), labels=correction.labels, start=mask
    )


def _stem(image: str) -> str:
    return f"{safe_name(Path(image).stem)[:60]}-{_digest(image)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _array(
    archive: zipfile.ZipFile, name: str, is_right: Callable[[tuple[int, ...]], bool]
) -> npt.NDArray[Any]:
    """Read an array if its shape is right; a small file may promise gigabytes."""
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    if not is_right(shape) or dtype.itemsize > _LONGEST:
        raise ValueError(f"{name} has the shape {shape} and the type {dtype}.")
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _fits(stored: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(stored) == 2 and all(n <= most for n, most in zip(stored, shape, strict=True))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what tells a file from another one under its name; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
