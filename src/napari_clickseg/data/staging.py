"""Several files that change together, or not at all, whatever ends the program meanwhile.

Before the first of them changes, the old ones are kept beside their places, and a note in the
folder says so: whoever finds the note while nobody holds the folder puts the old files back. The
step is done at the moment at which the note goes.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.paths import inside, leads_out
from napari_clickseg.util.files import (
    PARTIAL,
    begin,
    begin_folder,
    fill,
    has_ended,
    partial_files,
    sweep,
    this_process,
    write_whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOCK = ".lock"
_NOTE = ".unfinished.json"
_CHUNKS = ".zarr"  # how folders are called that hold one image or mask
_PATIENCE = 120.0  # seconds for which others may hold a folder
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)  # network drives without them are used all the same

_log = logging.getLogger(__name__)


class _Change(BaseModel):
    """A file that changes: its name, and where the old one is kept; None where there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kept: str | None


class _Note(BaseModel):
    """What a step of a process changes, and the folders that were made for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    process: str
    changes: tuple[_Change, ...]
    folders: tuple[str, ...] = ()


class Staged:
    """Files that were written beside their places, and go there all at once.

    Where there are several, the folder must be held meanwhile (see `held`).

    Parameters
    ----------
    folder : Path
        All files lie below it; folders that are missing are made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: list[tuple[Path, Path]] = []
        self._gone: list[Path] = []
        self._new_folders: list[tuple[Path, Path]] = []
        self._gone_folders: list[Path] = []
        self._made: list[Path] = []

    def put(self, name: str, write: Callable[[Path], object]) -> None:
        """Have `write` write a file that will be called `name`, a path with slashes."""
        final = inside(self.folder, name)
        _make(final.parent, self._made)
        partial = begin(final)
        self._files.append((partial, final))
        fill(partial, write)
        _to_disk(partial)

    def put_folder(self, name: str, write: Callable[[Path], object]) -> None:
        """Have `write` make a folder that will be called `name`, under which nothing is yet.

        It is there before the files change: what names it is one of them.
        """
        final = inside(self.folder, name)
        _make(final.parent, self._made)
        partial = begin_folder(final)
        self._new_folders.append((partial, final))
        write(partial)
        if hasattr(os, "sync"):
            os.sync()  # of thousands of files, all at once

    def remove(self, name: str) -> None:
        """Have a file, or a folder of chunks, go, if it is there and the system lets it."""
        path = self.folder / name
        if leads_out(self.folder, name):
            return
        if _is_there(path):
            self._gone.append(path)
        elif path.is_dir() and path.suffix == _CHUNKS:
            self._gone_folders.append(path)

    def commit(self) -> None:
        """Put all files into their places, in the order in which they were given."""
        for number, (partial, final) in enumerate(self._new_folders):
            partial.rename(final)
            self._new_folders[number] = final, final
        if len(self._files) + len(self._gone) > 1:
            self._change_together()
        else:
            self._change()
        for folder in self._gone_folders:
            with contextlib.suppress(OSError):
                # At once: whoever reads it must not take chunks that are gone for empty ones.
                shutil.rmtree(folder.rename(begin_folder(folder)), ignore_errors=True)
        self._forget()

    def drop(self) -> None:
        """Remove what was not committed, and folders that were made for it."""
        for partial, _ in self._files:
            _remove(partial)
        for partial, _ in self._new_folders:
            shutil.rmtree(partial, ignore_errors=True)
        _unmake(self._made)
        self._forget()

    def _forget(self) -> None:
        self._files, self._gone, self._made = [], [], []
        self._new_folders, self._gone_folders = [], []

    def _change(self) -> None:
        for partial, final in self._files:
            partial.replace(final)
        for path in self._gone:
            _remove(path)

    def _change_together(self) -> None:
        kept: list[Path] = []
        try:
            changes = [
                _Change(name=self._inside(path), kept=self._keep(path, kept))
                for path in (*(final for _, final in self._files), *self._gone)
            ]
            folders = tuple(self._inside(each) for each in self._made)
            note = _Note(process=this_process(), changes=tuple(changes), folders=folders)
            _write_note(self.folder, note)
            try:
                self._change()
            except BaseException:
                _undo(self.folder, note)
                raise
            (self.folder / _NOTE).unlink()
        finally:
            if not (self.folder / _NOTE).exists():  # else they are still needed
                for path in kept:
                    _remove(path)

    def _keep(self, path: Path, kept: list[Path]) -> str | None:
        copy = _copy(path)
        if copy is None:
            return None
        kept.append(copy)
        return self._inside(copy)

    def _inside(self, path: Path) -> str:
        try:
            return path.relative_to(self.folder).as_posix()
        except ValueError:  # a folder above it, which was made as well
            return "."


@contextlib.contextmanager
def held(folder: Path, *, patience: float | None = None) -> Iterator[None]:
    """Let nobody else hold a folder meanwhile, no other thread and no other process.

    Whoever reads what is there and writes what follows from it has to hold it. The lock is the
    system's, on a file in the folder: it ends with its owner, however that ends, so that a file
    which was left behind keeps nobody out. What its last owner did not finish is undone first.

    Parameters
    ----------
    folder : Path
        Made if it is not there, and removed if it is empty in the end.
    patience : float, optional
        Seconds for which others may hold it.

    Raises
    ------
    ProjectError
        If others hold it for too long, or it can't be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    made: list[Path] = []
    try:
        try:
            _make(folder, made)
            lock.acquire(timeout=_PATIENCE if patience is None else patience)
        except Timeout as error:
            raise ProjectError(
                f"{folder} is being written to by another program; try again when that is done."
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise ProjectError(_reason(error, folder)) from error
        try:
            _begin_with_whole_steps(folder, locked=lock.is_locked)
            yield
        finally:
            # Before it is released, or the next owner's file would go. Who waits for this one
            # notices that it is gone, and begins anew.
            _remove(folder / _LOCK)
            lock.release()
    finally:
        _unmake(made)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Staged]:
    """Change files of a folder together; they are committed at the end.

    Raises
    ------
    ProjectError
        If the disk is full or the folder can't be written to; then nothing is changed.
    """
    staged = Staged(folder)
    try:
        yield staged
        staged.commit()
    except OSError as error:
        raise ProjectError(_reason(error, folder)) from error
    finally:
        staged.drop()


def mend(folder: Path) -> None:
    """Undo the step that a writer was killed at; nothing where one is at work.

    Whoever reads a folder calls this first, so that no mixture of old and new is read.

    Raises
    ------
    ProjectError
        If there is such a step, and the folder can't be written to.
    """
    if not (folder / _NOTE).exists():
        return
    try:
        with held(folder, patience=0):
            pass
    except ProjectError:
        if not os.access(folder, os.W_OK):
            raise ProjectError(
                f"The program was killed while it wrote to {folder}, which can't be mended where "
                "it can't be written to; make it writable and try again."
            ) from None


def tidy(folder: Path, *within: str) -> None:
    """Undo what a writer that was killed did not finish, and remove what it left behind.

    Parameters
    ----------
    folder : Path
        That of a project.
    *within : str
        Names of the folders in it that are written to as well.
    """
    # Not through links: what lies elsewhere is not the project's.
    places = [folder, *(folder / name for name in within if not (folder / name).is_symlink())]
    mend(folder)
    if not any(partial_files(place) for place in places):
        return
    # Who can't hold it must leave that alone: somebody may be putting old files back.
    with contextlib.suppress(ProjectError), held(folder, patience=0):
        for place in places:
            sweep(place)


def _write_note(folder: Path, note: _Note) -> None:
    text = note.model_dump_json()

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")
        _to_disk(path)

    write_whole(folder / _NOTE, write)


def _begin_with_whole_steps(folder: Path, *, locked: bool) -> None:
    """Undo the step that the last owner of a folder did not finish, if there is one."""
    try:
        note = _read_note(folder)
        # Where a drive has no locks, it may still be at work.
        if note is not None and (locked or has_ended(note.process)):
            _undo(folder, note)
    except OSError as error:
        raise ProjectError(_reason(error, folder)) from error


def _undo(folder: Path, note: _Note) -> None:
    """Put back what a step changed. Killed in the midst of it, it can be done again."""
    for change in reversed(note.changes):
        path = folder / change.name
        if change.kept is None:
            path.unlink(missing_ok=True)
        elif _is_there(folder / change.kept):  # else it was put back already
            (folder / change.kept).replace(path)
            _remove(folder / change.kept)  # it stays where both are one file
    _unmake([folder / name for name in note.folders if name != "."])
    (folder / _NOTE).unlink()


def _read_note(folder: Path) -> _Note | None:
    path = folder / _NOTE
    try:
        note = _Note.model_validate_json(path.read_bytes())
        sound = all(_is_sound(folder, change) for change in note.changes)
        sound = sound and all(_is_within(folder, name) for name in note.folders)
    except FileNotFoundError:
        return None
    except (ValueError, OSError):  # pydantic's are ValueErrors
        sound = False
    if sound:
        return note
    # This program writes it whole, so it is another one's, or hostile: nothing is done by it.
    _log.warning("%s makes no sense, so it is put aside.", path)
    path.replace(path.with_suffix(".broken"))
    return None


def _is_sound(folder: Path, change: _Change) -> bool:
    """Whether a change concerns a file in the folder, and an old one beside it."""
    if not _is_within(folder, change.name):
        return False
    if change.kept is None:
        return True
    name, kept = PurePosixPath(change.name), PurePosixPath(change.kept)
    return kept.parent == name.parent and kept.name.startswith(PARTIAL)


def _is_within(folder: Path, name: str) -> bool:
    parent = (folder / name).parent
    return "\0" not in name and parent.resolve().is_relative_to(folder.resolve())


def _make(folder: Path, made: list[Path]) -> None:
    """Make a folder with those above it, and add those that were missing to `made`."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        made.append(each)


def _unmake(made: list[Path]) -> None:
    """Remove folders that were made, if nothing is in them."""
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _reason(error: OSError, folder: Path) -> str:
    # numpy and tifffile say that fewer bytes were written than requested, without a number
    if error.errno in _FULL or (error.errno is None and "requested" in str(error)):
        return f"There is no room left for {folder}; make some, and try again. Nothing was changed."
    if error.errno in _CLOSED:
        return f"{folder} cannot be written to; choose another folder, or have it made writable."
    return f"{folder} cannot be written: {error.strerror or error}. Nothing was changed."


def _copy(path: Path) -> Path | None:
    """Keep what is there, until all files are in their places."""
    if not _is_there(path):
        return None
    copy = begin(path)
    try:
        _link(path, copy)
    except BaseException:
        _remove(copy)
        raise
    return copy


def _link(path: Path, copy: Path) -> None:
    """Give a file a second name, which takes no room; copy it where a drive has one name only."""
    copy.unlink()
    try:
        os.link(path, copy, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(path, copy, follow_symlinks=False)
        if not copy.is_symlink():
            _to_disk(copy)


def _to_disk(path: Path) -> None:
    """Have a file written to the disk itself, so that a power cut leaves it whole."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _is_there(path: Path) -> bool:
    return path.is_file() or path.is_symlink()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
