"""Unpack a bundle that may be anybody's: into a new folder, as a whole or not at all.

Nothing is believed: names, lengths, sums and kinds are checked before anything is written, the sums
again while it is, and the folder appears when all of it is there and can be read as a project.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.data.bundles.manifest import (
    LONGEST_MANIFEST,
    MANIFEST,
    MODELS,
    RUNS,
    BundleError,
    Manifest,
    may_hold,
    most_bytes,
)
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.paths import leads_out, plain_name
from napari_clickseg.data.project import read_folder
from napari_clickseg.data.reading.header import size_text
from napari_clickseg.util.files import PARTIAL, partial_files, this_process
from napari_clickseg.util.pages import write_report_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_clickseg.data.bundles.manifest import BundledFile

_BLOCK = 1 << 20  # bytes written at once
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNPACKING = ".unpacking"  # ends the name of a folder that is not complete yet
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out of a bundle.

    Parameters
    ----------
    folder : Path
        Of the project.
    models, runs : tuple of Path
        Files of models, and folders of runs, in the project's folder.
    left_out : tuple of str
        What the project says that can't be used, one line each.
    """

    folder: Path
    images: int
    masks: int
    models: tuple[Path, ...]
    runs: tuple[Path, ...]
    left_out: tuple[str, ...]


def unpack(
    bundle: Path, folder: Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Unpacked:
    """Unpack a bundle into a folder that is new, or empty.

    Parameters
    ----------
    bundle : Path
        As `pack` wrote it.
    folder : Path
        That will be the project's.
    progress : callable
        Told how many bytes are done, of how many.

    Raises
    ------
    BundleError
        If the folder holds something, or the bundle is cut short, was changed, names places
        outside, holds what no project holds, or there is no room; nothing is left then.
    """
    if folder.is_symlink() or (folder.exists() and not _is_empty(folder)):
        raise BundleError(f"{folder} is there already; choose a folder that is new, or empty.")
    try:
        with zipfile.ZipFile(bundle) as archive:
            manifest, entries = _checked(archive, bundle, folder)
            _extract(archive, manifest, entries, bundle, folder, progress)
    except OSError as error:
        raise BundleError(_reason(error, bundle, folder)) from error
    except _BROKEN as error:
        if isinstance(error, ProjectError):
            raise
        raise BundleError(
            f"{bundle.name} is cut short or damaged, or no bundle; get it again."
        ) from error
    table = read_folder(folder)
    masks = sum(bool(row.mask) for row in table.rows)
    models = tuple(sorted((folder / MODELS).glob("*.safetensors")))
    runs = tuple(sorted(path.parent for path in (folder / RUNS).glob("*/spec.json")))
    left_out = (*(row.wrong for row in table.wrong), *table.others)
    return Unpacked(folder, len(table.rows), masks, models, runs, left_out)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _checked(
    archive: zipfile.ZipFile, bundle: Path, folder: Path
) -> tuple[Manifest, dict[str, zipfile.ZipInfo]]:
    """Return the manifest and the entries of its files, if they are sound."""
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(entries) != len(archive.infolist()):
        raise BundleError(f"{bundle.name} holds two files of one name, so it is not unpacked.")
    about = entries.pop(MANIFEST, None)
    if about is None or about.file_size > LONGEST_MANIFEST:
        raise BundleError(
            f"{bundle.name} has no {MANIFEST}, so it is no bundle of 'clickseg project pack'."
        )
    _check_entry(about, bundle)
    with archive.open(about) as file:
        manifest = Manifest.from_json(file.read(LONGEST_MANIFEST), bundle.name)
    strange = next(iter(entries.keys() ^ manifest.files.keys()), None)
    if strange is not None:
        which = "lacks" if strange in manifest.files else "was added to by"
        raise BundleError(f"{bundle.name} {which} {plain_name(strange)}; get it again.")
    for name, known in manifest.files.items():
        if not may_hold(name) or leads_out(folder, name):
            raise BundleError(
                f"{bundle.name} holds {plain_name(name)}, which no bundle may, so it is not "
                "unpacked."
            )
        _check_entry(entries[name], bundle)
        if entries[name].file_size != known.length:
            raise BundleError(_changed(bundle, name))
    _check_room(manifest, bundle, folder)
    return manifest, entries


def _check_entry(entry: zipfile.ZipInfo, bundle: Path) -> None:
    """See that an entry is a plain file in one of two compressions."""
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or entry.is_dir():
        raise BundleError(
            f"{bundle.name} holds {plain_name(entry.filename)}, a link or no file, so it is not "
            "unpacked."
        )
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        raise BundleError(
            f"{bundle.name} is encrypted or packed by another program; make it with 'clickseg "
            "project pack'."
        )


def _check_room(manifest: Manifest, bundle: Path, folder: Path) -> None:
    """See that what comes out is no more than a bundle of that length holds, and has room."""
    if manifest.total > most_bytes(bundle.stat().st_size):
        raise BundleError(
            f"{bundle.name} would become {size_text(manifest.total)}, far more than its length "
            "explains, so it is not unpacked."
        )
    there = next(path for path in folder.absolute().parents if path.exists())
    free = shutil.disk_usage(there).free
    if manifest.total > free:
        raise BundleError(
            f"{bundle.name} takes {size_text(manifest.total)}, and {there} has {size_text(free)} "
            "left; make room, or choose another disk."
        )


def _extract(
    archive: zipfile.ZipFile,
    manifest: Manifest,
    entries: dict[str, zipfile.ZipInfo],
    bundle: Path,
    folder: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Write all files into a folder beside, and give it its name in the end."""
    with _folder_beside(folder) as partial:
        done = 0
        for name, file in sorted(manifest.files.items()):
            _write(archive, entries[name], file, bundle, partial / name)
            done += file.length
            progress(done, manifest.total)
        _check_project(partial, manifest, bundle)
        for report in partial.glob(f"{RUNS}/**/report.md"):
            write_report_files(report, report.read_text("utf-8", "replace"))
        partial.chmod(0o755)
        if folder.exists():  # empty, else this fails
            folder.rmdir()
        partial.rename(folder)


@contextlib.contextmanager
def _folder_beside(folder: Path) -> Iterator[Path]:
    """Make an empty folder beside another one, and remove it in the end unless it was renamed."""
    parents = [parent for parent in folder.absolute().parents if not parent.exists()]
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    for old in partial_files(parent):
        if old.name.endswith(_UNPACKING) and not old.is_symlink():
            shutil.rmtree(old, ignore_errors=True)
    prefix = f"{PARTIAL}{this_process()}-"
    partial = Path(tempfile.mkdtemp(dir=parent, prefix=prefix, suffix=_UNPACKING))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for made in parents:
            with contextlib.suppress(OSError):  # no longer empty
                made.rmdir()


def _write(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: BundledFile, bundle: Path, path: Path
) -> None:
    """Write a file, no longer than it says, and see that its sum is right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, length = hashlib.sha256(), 0
    # Two names may be one file, on a disk that does not tell capitals apart.
    with archive.open(entry) as source, path.open("xb") as out:
        while length <= file.length and (block := source.read(_BLOCK)):
            digest.update(block)
            length += len(block)
            out.write(block)
    if length != file.length or digest.hexdigest() != file.sha256:
        raise BundleError(_changed(bundle, entry.filename))


def _check_project(partial: Path, manifest: Manifest, bundle: Path) -> None:
    """See that it is a project that needs nothing from outside."""
    try:
        table = read_folder(partial)
    except ProjectError as error:
        text = str(error).replace(str(partial), bundle.name)
        raise BundleError(f"{bundle.name} holds no project: {text}") from error
    stores = {name.partition(".zarr/")[0] + ".zarr" for name in manifest.files if ".zarr/" in name}
    for row in table.rows:
        for name in (row.image, row.mask):
            if name and name not in manifest.files and name not in stores:
                raise BundleError(
                    f"{bundle.name}: its table names {plain_name(name)}, which is not in it, so "
                    "it is not unpacked."
                )
    if not table.rows:
        raise BundleError(f"{bundle.name} holds no image, so it is not unpacked.")


def _changed(bundle: Path, name: str) -> str:
    plain = plain_name(name)
    return f"{bundle.name}: {plain} was changed or damaged (its sum is wrong); get it again."


def _reason(error: OSError, bundle: Path, folder: Path) -> str:
    if error.errno in _FULL:
        return f"There is no room left for {folder}; make some, or choose another disk."
    where = error.filename or bundle
    return f"{bundle} can't be unpacked ({where}: {error.strerror or error}); nothing was left."
