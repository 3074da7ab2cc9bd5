"""Pack a project into one file: what its table names, wherever that lies, with models and runs.

Whoever unpacks it needs nothing else: images and masks from outside of the project come along, and
the table names them where they are then.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import read_clicks
from napari_clickseg.data.bundles.manifest import (
    MANIFEST,
    MODELS,
    RUNS,
    BundledFile,
    BundleError,
    Manifest,
    may_hold,
    most_bytes,
)
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.images import SUFFIXES, is_image_file, read_header
from napari_clickseg.data.index import INDEX, Row, Table, read_table
from napari_clickseg.data.names import VERSION_MARK, safe_name
from napari_clickseg.data.paths import clicks_path, listing, located
from napari_clickseg.data.project import read_folder
from napari_clickseg.data.review_table import TABLE, read_review_table, review_table_text
from napari_clickseg.data.staging import held
from napari_clickseg.util.files import write_whole
from napari_clickseg.util.text import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_BLOCK = 1 << 20  # bytes read at once
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What is compressed already; the rest is compressed here.
_DENSE = (".png", ".jpg", ".jpeg", ".jp2", ".webp", ".gif", ".safetensors")
_BY_LENGTH = sorted(SUFFIXES, key=len, reverse=True)  # .nii.gz before what it could end with
_UNNAMED = ".dcm"  # what images without an ending are
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Packed:
    """What went into a bundle.

    Parameters
    ----------
    left_out : tuple of str
        What did not come along and why, one line each.
    """

    images: int
    masks: int
    models: int
    runs: int
    bytes: int
    left_out: tuple[str, ...]


def pack(
    project: Path,
    bundle: Path,
    *,
    models: Mapping[str, Path] | None = None,
    runs: Sequence[Path] = (),
    predictions: bool = True,
    overwrite: bool = False,
    program: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Packed:
    """Write a project into a zip file, complete or not at all.

    Parameters
    ----------
    project : Path
        A folder, or a table, as for `read_project`.
    models : mapping of str to Path, optional
        Files of models that come along, by what they are to be called.
    runs : sequence of Path
        Folders of runs that come along. What they would be resumed from, and pages, stay behind.
    predictions : bool
        Whether predictions that are not annotations come along.
    overwrite : bool
        Replace a file that is there.
    program : str
        What made it, for the manifest.
    progress : callable
        Told how many bytes are done, of how many.

    Raises
    ------
    BundleError
        If the file is there, something is missing, or there is no room.
    ProjectError
        If the project can't be read.
    """
    if bundle.is_dir() or (bundle.exists() and not overwrite):
        raise BundleError(f"{bundle} is there already; choose another name, or --overwrite.")
    folder = project.parent if project.is_file() else project
    with ExitStack() as stack:
        # So that nobody changes it meanwhile; where it can't be written to, nobody does.
        if folder.is_dir() and os.access(folder, os.W_OK):
            stack.enter_context(held(folder))
        gathering = _Gathering(project, folder)
        gathering.project(predictions=predictions)
        gathering.models(models or {})
        gathering.runs(runs)
        contents = gathering.contents
        try:
            bundle.parent.mkdir(parents=True, exist_ok=True)
            write_whole(bundle, lambda partial: _write(partial, contents, program, progress))
        except OSError as error:
            raise BundleError(_reason(error, bundle)) from error
    return gathering.packed(bundle.stat().st_size)


class _Gathering:
    """Finds what goes into a bundle: by the name it has there, a file, or the bytes themselves."""

    def __init__(self, project: Path, folder: Path) -> None:
        is_table = project.is_file()
        self.folder = folder
        self._table = read_table(project) if is_table else read_folder(project)
        self._indexed = is_table or (project / INDEX).is_file()
        self.contents: dict[str, Path | bytes] = {}
        self._left_out = [*(row.wrong for row in self._table.wrong), *self._table.others]
        self._names = listing()
        self._moved: dict[str, str] = {}  # what files from elsewhere are called
        self._counts = {"images": 0, "masks": 0, MODELS: 0, RUNS: 0}

    def packed(self, size: int) -> Packed:
        """Say what was found."""
        counts = self._counts
        return Packed(
            counts["images"], counts["masks"], counts[MODELS], counts[RUNS], size,
            tuple(self._left_out),
        )  # fmt: skip

    def project(self, *, predictions: bool) -> None:
        """Find images, masks, clicks and the tables that name them."""
        rows = {row.image: new for row in self._table.rows if (new := self._row(row)) is not None}
        if not rows:
            more = f" {self._left_out[0]}" if self._left_out else ""
            raise BundleError(f"{self.folder} holds no image that could be packed.{more}")
        self._counts["images"] = len(rows)
        self._counts["masks"] = sum(bool(row.mask) for row in rows.values())
        if self._indexed or self._moved:
            table = Table(tuple(rows.values()), self._table.more)
            self.contents[INDEX] = table.text().encode()
        texts = (p for p in self.folder.iterdir() if not p.name.lower().endswith(SUFFIXES))
        for path in sorted(texts):
            if path.name != INDEX and self._is_inside(path):
                self._take(path.name, path)
        if predictions:
            self._predictions(rows)

    def models(self, models: Mapping[str, Path]) -> None:
        """Take models along."""
        for name, path in models.items():
            if path.suffix.lower() != ".safetensors" or not path.is_file():
                raise BundleError(f"{path} is no .safetensors file that is there; check the path.")
            inside = f"{MODELS}/{safe_name(name)}.safetensors"
            if inside in self.contents:
                raise BundleError(f"Two models are called '{name}'; rename one of the files.")
            self._take(inside, path)
            self._counts[MODELS] += 1

    def runs(self, runs: Sequence[Path]) -> None:
        """Take runs along."""
        for run in runs:
            if not (run / "spec.json").is_file():
                raise BundleError(f"{run} is no run: it has no spec.json; check the path.")
            top = f"{RUNS}/{safe_name(run.resolve().name)}"
            if f"{top}/spec.json" in self.contents:
                raise BundleError(f"Two runs are called '{run.name}'; rename one of the folders.")
            behind = [
                path.name
                for path in _files_below(run)
                if path.is_symlink()
                or not self._take(f"{top}/{path.relative_to(run).as_posix()}", path)
            ]
            if behind:
                shown = ", ".join(sorted(set(behind))[:_SHOWN])
                self._left_out.append(
                    f"{counted(len(behind), 'file')} of the run {run.name} stayed behind ({shown}"
                    f"{' …' if len(set(behind)) > _SHOWN else ''}): a run that is handed on can be "
                    "read and its model used, but not resumed."
                )
            self._counts[RUNS] += 1

    def _row(self, row: Row) -> Row | None:
        """Return a row as it stands in the bundle; None where its files can't come along."""
        pair = [(name, located(self.folder, name, self._names)) for name in (row.image, row.mask)]
        if not row.mask:
            pair.pop()
        for name, path in pair:
            if wrong := self._wrong(name, path):
                self._left_out.append(f"{row.image} is left out: {wrong}.")
                return None
        image = self._bring(*pair[0], "images")
        mask = self._bring(*pair[1], "masks") if row.mask else ""
        self._clicks(row.image, image)
        return replace(row, image=image, mask=mask)

    def _clicks(self, old: str, new: str) -> None:
        path = clicks_path(self.folder, old)
        if not path.is_file():
            return
        try:
            read_clicks(path)  # a link may lead to anything
        except ProjectError as error:
            self._left_out.append(one_line(error))
        else:
            self._take(clicks_path(Path(), new).as_posix(), path)

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.folder.resolve())

    def _wrong(self, name: str, path: Path) -> str:
        """Return why a file can't come along; empty if it can."""
        if not path.exists():
            return f"there is no {name}"
        if path.is_dir() and path.suffix.lower() != ".zarr":
            return f"{name} is a folder"
        if path.suffix.lower() == ".oif":
            return f"{name} is kept in many files; save it as .oib or .tif"
        if not is_image_file(path):
            return f"{name} is not called as images are, such as .tif"
        if not self._is_inside(path):  # a stranger's table could name anything on this disk
            try:
                read_header(path)
            except (ImageError, OSError) as error:
                return f"{name} lies outside of the project, and is no image ({one_line(error)})"
        return ""

    def _bring(self, name: str, path: Path, folder: str) -> str:
        """Take an image or a mask along, and return what it is called in the bundle."""
        if name in self._moved:
            return self._moved[name]
        inside = name
        if not may_hold(f"{name}/0" if path.is_dir() else name):
            inside = self._free(folder, path)
            self._moved[name] = inside
        if path.is_dir():
            for each in _files_below(path):
                self._take(f"{inside}/{each.relative_to(path).as_posix()}", each)
        else:
            self._take(inside, path)
        return inside

    def _free(self, folder: str, path: Path) -> str:
        """Return a name for a file from elsewhere that nothing in the project has."""
        taken = {PurePosixPath(name).with_suffix("") for name in self._all_names() if name}
        suffix = next((end for end in _BY_LENGTH if path.name.lower().endswith(end)), _UNNAMED)
        ended = path.name.lower().endswith(suffix)
        stem, number = safe_name(path.name[: -len(suffix)] if ended else path.name), 1
        name = f"{folder}/{stem}"
        while PurePosixPath(f"{name}{suffix}").with_suffix("") in taken:
            number += 1
            name = f"{folder}/{stem}{VERSION_MARK}{number}"
        return f"{name}{suffix}"

    def _all_names(self) -> Iterator[str]:
        yield from self._moved.values()
        for row in self._table.rows:
            yield from (row.image, row.mask)

    def _take(self, name: str, path: Path) -> bool:
        """Take a file along if there is one and a bundle may hold it."""
        if not path.is_file() or not may_hold(name):
            return False
        self.contents[name] = path
        return True

    def _predictions(self, rows: Mapping[str, Row]) -> None:
        reviews, wrong = read_review_table(self.folder / TABLE)
        self._left_out += wrong
        kept = [replace(one, image=rows[name].image) for name, one in reviews.items()
                if name in rows]  # fmt: skip
        for review in kept:
            path = self.folder / review.prediction
            if not self._wrong(review.prediction, path):
                for each in _files_below(path) if path.is_dir() else [path]:
                    self._take(each.relative_to(self.folder).as_posix(), each)
        if kept:
            self.contents[TABLE] = review_table_text(kept)


def _files_below(folder: Path) -> list[Path]:
    """Return all files of a folder, at any depth.

    Raises
    ------
    BundleError
        If a folder in it is a link, whose files would be lost.
    """
    paths: list[Path] = []
    for here, folders, files in os.walk(folder):
        for name in folders:
            if (linked := Path(here, name)).is_symlink():
                raise BundleError(f"{linked} is a link to a folder; put the folder itself there.")
        folders.sort()
        paths += [Path(here, name) for name in sorted(files)]
    return paths


def _write(
    partial: Path,
    contents: Mapping[str, Path | bytes],
    program: str,
    progress: Callable[[int, int], None],
) -> None:
    """Write the zip file; uncompressed if it would come out as what nobody unpacks."""
    for compressed in (True, False):
        manifest = _write_once(partial, contents, program, progress, compressed=compressed)
        if manifest.total <= most_bytes(partial.stat().st_size):
            return


def _write_once(
    partial: Path,
    contents: Mapping[str, Path | bytes],
    program: str,
    progress: Callable[[int, int], None],
    *,
    compressed: bool,
) -> Manifest:
    total = sum(len(f) if isinstance(f, bytes) else f.stat().st_size for f in contents.values())
    files: dict[str, BundledFile] = {}
    done = 0
    with zipfile.ZipFile(partial, "w") as archive:
        for name, source in sorted(contents.items()):
            dense = name.lower().endswith(_DENSE) or not compressed
            files[name] = _add(archive, name, source, dense=dense)
            done += files[name].length
            progress(done, total)
        manifest = Manifest(program=program, files=files)
        text = manifest.model_dump_json(indent=1).encode()
        _add(archive, MANIFEST, text, dense=not compressed)
    return manifest


def _add(archive: zipfile.ZipFile, name: str, source: Path | bytes, *, dense: bool) -> BundledFile:
    """Add a file to the archive while its sum is worked out."""
    if isinstance(source, bytes):
        about, size = zipfile.ZipInfo(name), len(source)
    else:
        about = zipfile.ZipInfo.from_file(source, name, strict_timestamps=False)
        size = about.file_size
    about.external_attr = 0o644 << 16
    about.compress_type = zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED
    digest, length = hashlib.sha256(), 0
    with (
        io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
        archive.open(about, "w", force_zip64=size >= 1 << 31) as entry,
    ):
        while block := file.read(_BLOCK):
            digest.update(block)
            length += len(block)
            entry.write(block)
    return BundledFile(length=length, sha256=digest.hexdigest())


def _reason(error: OSError, bundle: Path) -> str:
    if error.errno in _FULL:
        return f"There is no room left for {bundle}; make some, or choose another disk."
    where = error.filename or bundle
    return f"{bundle} can't be written ({where}: {error.strerror or error}); nothing was left."
