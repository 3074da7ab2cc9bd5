"""Finding the image that another program's file speaks of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from napari_clickseg.data.images import SUFFIXES, is_image_file
from napari_clickseg.data.reading.dicom import instance_of
from napari_clickseg.formats.mask_files import images_in

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from napari_clickseg.formats.problems import Problems

_ADDED = (".json", ".gz", ".csv")  # endings of files that are called after images
_BETWEEN = (".ome", ".nii", "_rois", "-rois")


class ImageLookup:
    """The images of a folder, found by path, name or stem, or by a DICOM identifier.

    Parameters
    ----------
    folder : Path
        At any depth.
    apart : collection of Path
        Files that are named as images are, and are none.
    """

    def __init__(self, folder: Path, apart: Collection[Path] = ()) -> None:
        self._folder = folder
        self._by: dict[str, list[Path]] = {}
        self._paths = [path for path in images_in(folder) if path.absolute() not in apart]
        self._instances: dict[str, Path] | None = None
        for path in self._paths:
            for key in {path.name.lower(), stem_of(path.name).lower(), path.stem.lower()}:
                self._by.setdefault(key, []).append(path)

    def find(self, file: str, instance: str, problems: Problems) -> Path | None:
        """Return the image that a file speaks of; None, and a problem, where there is none."""
        if instance:
            if self._instances is None:
                self._instances = {instance_of(path): path for path in self._paths}
            if instance in self._instances:
                return self._instances[instance]
            problems.add(file, f"its DICOM image {instance} is not in {self._folder}")
            return None
        exact = self._folder / file
        try:
            if exact.exists() and is_image_file(exact):
                return exact
        except (OSError, ValueError):
            pass
        name = PurePosixPath(file).name
        files = self._by.get(name.lower()) or self._by.get(stem_of(name).lower()) or []
        if len(files) == 1:
            return files[0]
        if not files:
            problems.add(file, f"there is no such image in {self._folder}")
        else:
            problems.add(file, f"{files[0]} and {files[1]} are both called so")
        return None


def stem_of(name: str) -> str:
    """Return a file's name without its endings, and without what other programs add to it."""
    suffix = PurePosixPath(name).suffix.lower()
    stem = name[: -len(suffix)] if suffix in (*SUFFIXES, *_ADDED) and suffix else name
    for more in _BETWEEN:
        if stem.lower().endswith(more):
            stem = stem[: -len(more)]
    return stem
