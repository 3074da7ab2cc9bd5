"""Writing masks of slides into a project: a folder of chunks in place of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from napari_clickseg.data.index import COMPLETE, PIXEL_SIZE, Row
from napari_clickseg.data.names import record_name, safe_name
from napari_clickseg.data.project import Record, entry_of
from napari_clickseg.data.staging import staging
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.data.annotations import Annotations
    from napari_clickseg.data.classes import ProjectClasses
    from napari_clickseg.data.pixel_size import PixelSize
    from napari_clickseg.data.project import Unannotated


class SlideWriter(ProjectWriter):
    """Adds masks to a project that are too large to be written in one piece."""

    def named(self, name: str) -> Record | Unannotated | None:
        """Return the only record of a name, wherever its image lies."""
        rows = [row for row in self._now().rows if record_name(row.image) == name]
        return entry_of(self.folder, rows[0]) if len(rows) == 1 else None

    def annotate_slide(
        self,
        image: str,
        write: Callable[[Path], object],
        notes: Annotations,
        *,
        group: str = "",
        split: str = "",
        classes: ProjectClasses | None = None,
        pixel_size: PixelSize | None = None,
        complete: bool | None = None,
        written: Callable[[Path], object] = lambda _: None,
    ) -> Record:
        """Give a mask to an image, which is added where it is in no row; it is left as it is.

        Parameters
        ----------
        image : str
            As in `Record.name`.
        write : callable
            Makes a folder with the mask as OME-Zarr.
        notes : Annotations
            What is known of its objects.
        group, split
            Of an image that is added, as in `Record`.
        classes, pixel_size, complete
            As in `ProjectWriter.add`.
        written : callable
            Called with the folder of the new mask while the old one is still there.

        Raises
        ------
        ProjectError
            If it can't be written; nothing is changed then.
        """
        more = () if complete is None else ((COMPLETE, "yes" if complete else "no"),)
        if pixel_size is not None:
            more = ((PIXEL_SIZE, str(pixel_size)), *more)
        with self._changing() as table:
            old = next((row for row in table.rows if row.image == image), None)
            row = old or Row(image, "", " ".join(group.split()), split, own=image)
            stem = safe_name(PurePosixPath(image).stem)
            row = replace(row, mask=self._free("masks", stem, ".zarr"), more=more)
            after = table.with_row(row) if old is None else table.exchanged(old, row)
            with staging(self.folder) as staged:
                staged.put_folder(row.mask, write)
                if classes is not None:
                    self._put_classes(staged, classes)
                self._put_notes(staged, row, notes)
                self._put_index(staged, after)
            self._changed_to(after)
            self._classes = classes or self._classes
            written(self.folder / row.mask)
            if old is not None and old.mask:
                with staging(self.folder) as staged:
                    self._clear_away(staged, old, row, after, clicks=bool(notes))
        record = entry_of(self.folder, row)
        assert isinstance(record, Record)
        return record
