"""Writing a project folder, one record at a time; each is there as a whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import os
import unicodedata
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import Annotations, ObjectNote, ProjectClick, read_clicks
from napari_clickseg.data.classes import CLASSES_FILE, ProjectClasses, read_classes
from napari_clickseg.data.encode import (
    image_suffix,
    mask_suffix,
    palette,
    storable_image,
    storable_mask,
    write_image,
    write_labels,
)
from napari_clickseg.data.errors import AnnotatedError, ProjectError
from napari_clickseg.data.images import read_layout, read_plane
from napari_clickseg.data.index import (
    COMPLETE,
    INDEX,
    PIXEL_SIZE,
    SPLITS,
    Row,
    Table,
    said_complete,
)
from napari_clickseg.data.masks import file_digest
from napari_clickseg.data.names import VERSION_MARK, check_name, record_name
from napari_clickseg.data.paths import is_outside, listing, located, name_from
from napari_clickseg.data.project import (
    FOLDERS,
    Record,
    Unannotated,
    clicks_path,
    entry_of,
    is_project,
    read_folder,
)
from napari_clickseg.data.staging import Staged, held, staging, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from napari_clickseg.data.pixel_size import PixelSize


class ProjectWriter:
    """Adds records to a project folder, which is made if it is not there.

    May be used on any thread, and while others write to the folder: each change begins with what
    the one before it left. What else is in the folder is left as it is. Whoever makes several
    changes does so within `opened`, which reads index and classes once.

    Raises
    ------
    ProjectError
        If the folder holds other things, or a project that can't be understood.
    """

    folder: Path
    _classes: ProjectClasses | None
    _opened: Table | None  # what the index says, while this holds the folder

    def __init__(self, folder: Path | str) -> None:
        self._begin(folder)
        self._table()
        self._classes = read_classes(self.folder)

    def _begin(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._classes = self._opened = None
        tidy(self.folder, *FOLDERS)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, folder: Path | str) -> Iterator[Self]:
        """Hold a project for several changes; index and classes are read once.

        Nobody else writes to it meanwhile. Each change is on disk when it is made, as a whole.
        For one thread.

        Raises
        ------
        ProjectError
            As for the class, and if others hold the folder for too long.
        """
        writer = cls.__new__(cls)
        writer._begin(folder)
        with writer._changing() as table:
            writer._opened = table
            try:
                yield writer
            finally:
                writer._opened = None

    @property
    def classes(self) -> ProjectClasses | None:
        """The project's classes, if it says any."""
        return self._classes

    def set_classes(self, classes: ProjectClasses) -> None:
        """Write `classes.json`."""
        with self._changing(), staging(self.folder) as staged:
            self._put_classes(staged, classes)
        self._classes = classes

    def _put_classes(self, staged: Staged, classes: ProjectClasses) -> None:
        if classes != self._classes:
            text = classes.to_json()
            staged.put(CLASSES_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def find(self, name: str) -> Record | Unannotated | None:
        """Return the record of that name, if there is one."""
        row = self._find(self._now(), name)
        return entry_of(self.folder, row) if row is not None else None

    def entry(self, image: str) -> Record | Unannotated | None:
        """Return the record of an image (`Record.name`), if there is one."""
        row = next((row for row in self._table().rows if row.image == image), None)
        return entry_of(self.folder, row) if row is not None else None

    def holds(self, name: str, image: Any, *, rgb: bool | None = None) -> bool:
        """Whether there is a record of that name with exactly this image."""
        row = self._find(self._now(), name)
        return row is not None and self._same(row, *storable_image(name, image, rgb))

    def add(
        self,
        name: str,
        image: Any,
        labels: Any = None,
        *,
        group: str = "",
        split: str = "",
        clicks: Sequence[ProjectClick] = (),
        object_classes: Mapping[int, int] | None = None,
        objects: Mapping[int, ObjectNote] | None = None,
        really_empty: bool = False,
        rgb: bool | None = None,
        classes: ProjectClasses | None = None,
        pixel_size: PixelSize | None = None,
        complete: bool | None = None,
    ) -> Record | Unannotated:
        """Add an image with its mask, or put them in place of the record of that name.

        Parameters
        ----------
        name : str
            Of the files, without suffix.
        image : array (Y, X) or (Y, X, C)
            Of any real dtype, which it keeps (but for bool, which becomes uint8).
        labels : bool or int (Y, X), optional
            Ids; None, or nothing but 0, says that the image is not annotated yet.
        group, split : str
            As in `Record`; the group is the image's own if empty.
        clicks : sequence of ProjectClick
            In data pixels, in order.
        object_classes : mapping of int to int, optional
            The class of each object, where the project's scheme is "instances".
        objects : mapping of int to ObjectNote, optional
            How each object came about.
        really_empty : bool
            Labels without any id say that there is really nothing in the image.
        rgb : bool, optional
            Whether channels are colours; by default 8-bit images with three or four are.
        classes : ProjectClasses, optional
            The project's from now on.
        pixel_size : PixelSize, optional
            None leaves what the project says of the image.
        complete : bool, optional
            As in `Record.complete`; None leaves what the project says of the image.

        Raises
        ------
        ProjectError
            If this is no image with its mask, or they can't be written; nothing is changed then.
        """
        check_name(name)
        if split not in SPLITS:
            raise ProjectError(f"'{split}' is not a split; give training, validation, test or ''.")
        values, colours = storable_image(name, image, rgb)
        mask = self._mask(name, labels, values.shape[:2], really_empty)
        notes = _annotations(clicks, object_classes, objects or {})
        more = _completeness(complete)
        if pixel_size is not None:
            more = ((PIXEL_SIZE, str(pixel_size)), *more)
        row = Row("", "", " ".join(group.split()), split, more=more)
        with self._changing() as table:
            old = self._find(table, name)
            with staging(self.folder) as staged:
                if old is not None and self._same(old, values, colours):
                    row = replace(row, image=old.image)
                else:
                    kept_as = self._free("images", name, image_suffix(values, colours))
                    row = replace(row, image=kept_as)
                    staged.put(
                        row.image, lambda path: write_image(path, values, colours, pixel_size)
                    )
                if mask is not None:
                    kept_as = self._mask_name(table, old, row.image, mask_suffix(mask))
                    row = replace(row, mask=kept_as)
                    size = pixel_size or (_pixel_size(self.folder, old) if old else None)
                    self._put_mask(staged, row, mask, classes or self._classes, size)
                if classes is not None:
                    self._put_classes(staged, classes)
                self._put_notes(staged, row, notes)
                row = replace(row, own=row.image)
                after = table.with_row(row) if old is None else table.exchanged(old, row)
                self._put_index(staged, after)
                if old is not None:
                    self._clear_away(staged, old, row, after, clicks=bool(notes))
            self._changed_to(after)
            self._classes = classes or self._classes
        return entry_of(self.folder, row)

    def annotate(
        self,
        image: str,
        labels: Any,
        *,
        clicks: Sequence[ProjectClick] = (),
        object_classes: Mapping[int, int] | None = None,
        objects: Mapping[int, ObjectNote] | None = None,
        complete: bool | None = None,
        replacing: str = "",
        also: Callable[[Staged], object] | None = None,
    ) -> Record:
        """Give a mask to an image of the project; the image is left as it is.

        Parameters
        ----------
        image : str
            As in `Unannotated.name`.
        labels : bool or int (Y, X)
            Ids; nothing but 0 says that there is really nothing in the image.
        clicks, object_classes
            As in `add`.
        objects : mapping of int to ObjectNote, optional
            As in `add`; None keeps what is known of the ids that the labels still have.
        complete : bool, optional
            As in `add`.
        replacing : str
            `masks.file_digest` of the mask that it takes the place of; any other one is kept.
        also : callable, optional
            Called to put, or remove, what else changes in the same step.

        Raises
        ------
        AnnotatedError
            If it has another mask already; nothing is changed then.
        ProjectError
            If there is no such image, or this is no mask of it; nothing is changed then.
        ImageError
            If the image can't be read.
        """
        with self._changing() as table:
            old = next((row for row in table.rows if row.image == image), None)
            if old is None:
                raise ProjectError(f"{self.folder} has no image {image}.")
            if old.mask and (not replacing or file_digest(self.folder / old.mask) != replacing):
                raise AnnotatedError(f"{image} is annotated already; its mask {old.mask} is kept.")
            path = located(self.folder, image, listing())
            height, width = read_layout(path).shape[:2]
            mask = storable_mask(image, labels, (height, width))
            if objects is None:
                objects = self._known(old, mask)
            notes = _annotations(clicks, object_classes, objects)
            row = replace(old, mask=self._new_mask_name(table, old, mask_suffix(mask)))
            after = table.exchanged(old, replace(row, more=_completeness(complete)))
            with staging(self.folder) as staged:
                size = _pixel_size(self.folder, old)
                self._put_mask(staged, row, mask, self._classes, size)
                has_notes = self._put_notes(staged, row, notes)
                self._put_index(staged, after)
                if old.mask:
                    self._clear_away(staged, old, row, after, clicks=bool(notes))
                if also is not None:
                    also(staged)
            self._changed_to(after)
        return Record(
            path,
            self.folder / row.mask,
            row.group or row.own,
            image,
            row.split,
            clicks_path(self.folder, image) if has_notes else None,
            pixel_size=size,
            complete=said_complete(row)[0] if complete is None else complete,
        )

    def refer(self, images: Sequence[tuple[Path, str]]) -> None:
        """Add rows of images that lie elsewhere; they are read there, and nothing is copied.

        Parameters
        ----------
        images : sequence of (Path, str)
            With their groups, empty where an image is its own. Rows that are there stay.
        """
        with self._changing() as table:
            there = {row.image for row in table.rows}
            given = [(name_from(self.folder, path), group) for path, group in images]
            new = [Row(name, group=group, own=name) for name, group in given if name not in there]
            if new:
                after = replace(table, rows=(*table.rows, *new))
                with staging(self.folder) as staged:
                    self._put_index(staged, after)
                self._changed_to(after)

    def mark_complete(self, image: str, complete: bool | None) -> None:
        """Say whether all objects of an image are labelled, or that nobody knows.

        Parameters
        ----------
        image : str
            As in `Record.name`.
        complete : bool or None
            As in `Record.complete`.

        Raises
        ------
        ProjectError
            If there is no such image, or nothing can be written; nothing is changed then.
        """
        said = _completeness(complete) or ((COMPLETE, ""),)
        with self._changing() as table:
            old = next((row for row in table.rows if row.image == image), None)
            if old is None:
                raise ProjectError(f"{self.folder} has no image {image}.")
            after = table.exchanged(old, replace(old, more=said))
            with staging(self.folder) as staged:
                self._put_index(staged, after)
            self._changed_to(after)

    def unannotate(
        self, image: str, replacing: str, also: Callable[[Staged], object] | None = None
    ) -> Unannotated:
        """Take the mask of an image out of the project, with its clicks; the image stays.

        Parameters
        ----------
        image : str
            As in `Record.name`.
        replacing : str
            `masks.file_digest` of the mask; any other one is kept.
        also : callable, optional
            As in `annotate`.

        Raises
        ------
        AnnotatedError
            If it has another mask; nothing is changed then.
        ProjectError
            If there is no such image, or it can't be written; nothing is changed then.
        """
        with self._changing() as table:
            old = next((row for row in table.rows if row.image == image), None)
            if old is None:
                raise ProjectError(f"{self.folder} has no image {image}.")
            if old.mask and file_digest(self.folder / old.mask) != replacing:
                raise AnnotatedError(f"{image} got another mask meanwhile; it is kept.")
            row = replace(old, mask="")
            after = table.exchanged(old, row)
            with staging(self.folder) as staged:
                self._put_index(staged, after)
                self._clear_away(staged, old, row, after, clicks=False)
                if also is not None:
                    also(staged)
            self._changed_to(after)
        entry = entry_of(self.folder, row)
        assert isinstance(entry, Unannotated)
        return entry

    def keep_only(self, images: Collection[str]) -> None:
        """Remove all records, and their files, but those of these images (`Record.name`)."""
        with self._changing() as table:
            gone = [row for row in table.rows if row.image not in images]
            if not gone:
                return
            after = replace(table, rows=tuple(row for row in table.rows if row.image in images))
            with staging(self.folder) as staged:
                self._put_index(staged, after)
                for row in gone:
                    self._clear_away(staged, row, None, after, clicks=False)
            self._changed_to(after)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Table]:
        """Yield what the index says, which nobody else changes meanwhile."""
        if self._opened is not None:
            yield self._opened
            return
        with held(self.folder):
            table = self._table()
            self._classes = read_classes(self.folder)
            yield table

    def _known(self, row: Row, mask: npt.NDArray[Any]) -> dict[int, ObjectNote]:
        """Return how those objects of a mask came about of which that is known."""
        path = clicks_path(self.folder, row.image)
        if not row.mask or not path.is_file():
            return {}
        with contextlib.suppress(ProjectError):  # a broken file is replaced
            known = read_clicks(path).objects
            there = {int(one) for one in np.unique(mask)} if known else set()
            return {identifier: note for identifier, note in known.items() if identifier in there}
        return {}

    def _put_mask(
        self,
        staged: Staged,
        row: Row,
        mask: npt.NDArray[Any],
        classes: ProjectClasses | None,
        pixel_size: PixelSize | None,
    ) -> None:
        colour_of = mask_colours(classes)
        staged.put(row.mask, lambda path: write_labels(path, mask, colour_of, pixel_size))

    def _put_notes(self, staged: Staged, row: Row, notes: Annotations) -> bool:
        """Write the clicks of a row, if there are any and there is a place; return whether."""
        beside = self._clicks(row)
        if notes and beside:
            staged.put(beside, lambda path: path.write_text(notes.to_json(), encoding="utf-8"))
        return bool(notes and beside)

    def _changed_to(self, table: Table) -> None:
        """Take note of what the index says after a change."""
        if self._opened is not None:
            self._opened = table

    def _put_index(self, staged: Staged, table: Table) -> None:
        staged.put(INDEX, lambda path: path.write_text(table.text(), encoding="utf-8"))

    def _now(self) -> Table:
        return self._opened if self._opened is not None else self._table()

    def _table(self) -> Table:
        """Read the index anew: another writer, or the user, may have changed it."""
        if is_project(self.folder):
            return read_folder(self.folder)
        try:
            there = [path.name for path in self.folder.iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return Table(())
        except OSError as error:
            raise ProjectError(f"{self.folder} cannot be read: {error.strerror}.") from error
        if set(there) - {CLASSES_FILE}:
            raise ProjectError(
                f"{self.folder} holds other things than a project; choose an empty folder, or "
                "that of a project."
            )
        return Table(())

    def _find(self, table: Table, name: str) -> Row | None:
        match = None
        name_lower = name.lower()
        for row in table.rows:
            in_images, stem, whole, lower = _names(row.image)
            if not in_images:
                continue
            if name in (stem, whole):
                match = row
            elif lower == name_lower:
                raise ProjectError(
                    f"'{name}' and '{stem}', which is in {self.folder}, differ in upper and lower "
                    "case only; choose another name."
                )
        return match

    def _mask(
        self, name: str, labels: Any, shape: tuple[int, ...], really_empty: bool
    ) -> npt.NDArray[Any] | None:
        plane = shape[0], shape[1]
        if labels is None:
            return np.zeros(plane, np.uint8) if really_empty else None
        mask = storable_mask(name, labels, plane)
        return mask if really_empty or mask.any() else None

    def _same(self, row: Row, values: npt.NDArray[Any], rgb: bool) -> bool:
        """Whether the file of a row holds these pixels."""
        try:
            plane = read_plane(self.folder / row.image)
        except ImageError:
            return False
        data = plane.data[0] if isinstance(plane.data, list) else plane.data
        if tuple(data.shape) != values.shape or np.dtype(data.dtype) != values.dtype:
            return False
        floats = values.dtype.kind == "f"
        return plane.rgb == rgb and np.array_equal(np.asarray(data), values, equal_nan=floats)

    def _free(self, folder: str, stem: str, suffix: str, given_up: str = "") -> str:
        """Return a name in a folder that no file has, but perhaps one that is given up."""
        name, number = f"{folder}/{stem}{suffix}", 1
        try:
            there = os.listdir(self.folder / folder)
        except FileNotFoundError:
            there = []
        taken = {_stem(n) for n in there if f"{folder}/{n}" != given_up}
        while _stem(PurePosixPath(name).name) in taken:
            number += 1
            name = f"{folder}/{stem}{VERSION_MARK}{number}{suffix}"
        return name

    def _new_mask_name(self, table: Table, old: Row, suffix: str) -> str:
        """Return where the mask of an image goes that is left as it is."""
        if old.mask:
            return self._mask_name(table, old, old.image, suffix)
        return self._free("masks", PurePosixPath(old.image).stem, suffix)

    def _mask_name(self, table: Table, old: Row | None, image: str, suffix: str) -> str:
        """Return where the mask goes: in place of the old one, if that is this image's alone."""
        stem = PurePosixPath(image).stem
        if old is None or old.image != image:
            return self._free("masks", stem, suffix)
        others = {name for row in table.rows if row is not old for name in self._files(row)}
        mask = PurePosixPath(old.mask)
        if old.mask in others or mask.parent != PurePosixPath("masks"):
            return self._free("masks", stem, suffix)
        return old.mask if mask.suffix == suffix else self._free("masks", stem, suffix, old.mask)

    def _files(self, row: Row) -> tuple[str, ...]:
        return row.image, row.mask, self._clicks(row)

    def _clicks(self, row: Row) -> str:
        """Return where the clicks of a row are written; empty where that is another project's."""
        path = clicks_path(self.folder, row.image)
        if not path.is_relative_to(self.folder):
            return ""
        name = path.relative_to(self.folder).as_posix()
        return "" if is_outside(name) else name

    def _clear_away(
        self, staged: Staged, old: Row, new: Row | None, table: Table, *, clicks: bool
    ) -> None:
        """Remove the files of a row that was replaced, but for those that are still needed."""
        own = new.image if new is not None and not clicks else ""
        needed = {name for row in table.rows for name in (row.image, row.mask)}
        needed |= {self._clicks(row) for row in table.rows if row.image != own}
        needed.add("")
        for name in self._files(old):
            inside = PurePosixPath(name)
            if name not in needed and not inside.is_absolute() and ".." not in inside.parts:
                staged.remove(name)


@functools.lru_cache(maxsize=1 << 16)
def _names(image: str) -> tuple[bool, str, str, str]:
    """Return whether an image lies in images/, the name of its record, its stem, the lower name."""
    path, name = PurePosixPath(image), record_name(image)
    return path.parent == PurePosixPath("images"), name, path.stem, name.lower()


@functools.lru_cache(maxsize=1 << 16)
def _stem(name: str) -> str:
    """Return what may be there once only: the stem, whatever its case and its accents' form."""
    return unicodedata.normalize("NFC", PurePosixPath(name).stem).lower()


def _completeness(complete: bool | None) -> tuple[tuple[str, str], ...]:
    """Return what a row says of it; nothing where nobody said it."""
    return () if complete is None else ((COMPLETE, "yes" if complete else "no"),)


def _annotations(
    clicks: Sequence[ProjectClick],
    classes: Mapping[int, int] | None,
    objects: Mapping[int, ObjectNote],
) -> Annotations:
    noted = {identifier: note for identifier, note in objects.items() if note}
    return Annotations(clicks=tuple(clicks), classes=dict(classes or {}), objects=noted)


def _pixel_size(folder: Path, row: Row) -> PixelSize | None:
    return entry_of(folder, row).pixel_size


def mask_colours(classes: ProjectClasses | None) -> bytes:
    """Return the colours of masks: those of the classes, where ids are classes."""
    if classes is None or classes.scheme != "classes":
        return palette({})
    return palette({one.id: one.colour for one in classes.classes})
