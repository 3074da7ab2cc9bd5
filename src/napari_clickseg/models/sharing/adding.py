"""Add a model to the user's own, from a file, an address or Hugging Face; remove one.

A model is among them when its file is whole, is the one that was meant, and could be loaded: before
that, it has a name that no list shows.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.models.checkpoint import ModelFileError, load_network, read_card, sha256
from napari_clickseg.models.registry import (
    BUNDLED,
    ModelEntry,
    find_model,
    list_models,
    user_folder,
)
from napari_clickseg.models.sharing.fetching import HUB, LARGEST, download, from_hub, is_address
from napari_clickseg.models.sharing.origins import note_origin
from napari_clickseg.runs.home import plain_name
from napari_clickseg.util.files import begin, fill, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.models.card import ModelCard

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OFTEN = ("model", "best", "default")  # names of files that say nothing of a model
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Added:
    """A model that is among the user's own now.

    Parameters
    ----------
    sha256 : str
        Of its file.
    origin : str
        Where it came from; of a repository with the commit.
    """

    entry: ModelEntry
    card: ModelCard
    sha256: str
    origin: str


def add_model(
    source: str,
    *,
    name: str = "",
    expected_sha256: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    endpoint: str | None = None,
) -> Added:
    """Add a model to the user's own, as a whole or not at all.

    Parameters
    ----------
    source : str
        A .safetensors file, an address (https), or ``hf:USER/REPO[/FILE][@REVISION]``.
    name : str
        What it is to be called; by default as its file, or as its card says.
    overwrite : bool
        Replace the user's own model of that name.
    progress : callable
        Told how many bytes have come, of how many.
    endpoint : str, optional
        The server of Hugging Face.

    Raises
    ------
    ModelFileError
        If it can't be had, is another file than expected, is no model that can be loaded here, the
        name is taken, or there is no room.
    """
    if expected_sha256 is not None:
        expected_sha256 = expected_sha256.strip().lower()
        if len(expected_sha256) != 64 or not _DIGITS.issuperset(expected_sha256):
            raise ModelFileError("A SHA-256 has 64 digits from 0 to f; check what was given.")
    return keep_model(
        lambda partial: _brought(source, partial, progress, endpoint),
        name=name,
        expected_sha256=expected_sha256,
        overwrite=overwrite,
    )


def keep_model(
    write: Callable[[Path], tuple[str, str]],
    *,
    name: str = "",
    expected_sha256: str | None = None,
    overwrite: bool = False,
) -> Added:
    """Have `write` write a model's file, and keep it among the user's own if it can be loaded.

    Parameters
    ----------
    write : callable
        Writes to the path it is given; returns what the model is called, and where it is from.
    name : str
        What it is to be called instead.
    overwrite : bool
        Replace the user's own model of that name.

    Raises
    ------
    ModelFileError
        As `add_model`.
    """
    if name:
        _check_name(plain_name(name), overwrite=overwrite)
    folder = user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        partial = begin(folder / "model.safetensors")
        try:
            called, origin = write(partial)
            return _kept(partial, called, origin, name, expected_sha256, overwrite=overwrite)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
    except OSError as error:
        raise ModelFileError(_reason(error, folder)) from error


def remove_model(name: str) -> Path:
    """Remove one of the user's own models, and return where its file was.

    Raises
    ------
    ModelFileError
        If there is none of that name, or it came with the program.
    """
    entry = next((entry for entry in list_models() if entry.name == name), None)
    if entry is None:
        find_model(name)  # says which there are, unless it is a file
        raise ModelFileError(f"'{name}' is none of your models; clickseg models lists them.")
    if entry.bundled:
        raise ModelFileError(f"'{name}' came with the program; it can't be removed.")
    try:
        entry.path.unlink()
    except OSError as error:
        raise ModelFileError(_reason(error, entry.path.parent)) from error
    with contextlib.suppress(OSError):
        note_origin(name, None)
    return entry.path


def _brought(
    source: str, partial: Path, progress: Callable[[int, int], None], endpoint: str | None
) -> tuple[str, str]:
    """Write the file that is meant to `partial`; return what it is called, and where it is from."""
    if source.startswith(HUB):
        fetched = from_hub(source, endpoint=endpoint)
        _copy(fetched.path, partial)
        repo = "/".join(source.removeprefix(HUB).partition("@")[0].split("/")[:2])
        stem = Path(fetched.name).stem
        called = repo.partition("/")[2] if stem in _OFTEN else stem
        return called, f"{HUB}{repo}/{fetched.name}@{fetched.revision}"
    if is_address(source):
        called = Path(download(source, partial, progress)).stem
        return called, source.partition("?")[0]
    path = Path(source).expanduser()
    if path.suffix.lower() == ".onnx":
        raise ModelFileError(f"{path.name} is ONNX; add it by 'clickseg models import {path}'.")
    read_card(path)  # says what is wrong with a file that is none
    _copy(path, partial)
    return path.stem, str(path.absolute())


def _copy(path: Path, partial: Path) -> None:
    size = path.stat().st_size
    if size > LARGEST:
        raise ModelFileError(
            f"{path.name} is larger than {LARGEST >> 30} GiB, so it is no model that is used here."
        )
    if size > shutil.disk_usage(partial.parent).free:
        raise OSError(errno.ENOSPC, "full")
    shutil.copyfile(path, partial)


def _kept(
    partial: Path, called: str, origin: str, name: str, expected: str | None, *, overwrite: bool
) -> Added:
    """See that it is the file that was meant, and a model; then give it its name."""
    digest = sha256(partial)
    if expected is not None and digest != expected:
        raise ModelFileError(
            f"{origin} is not the file it should be: its SHA-256 is {digest}; nothing was added."
        )
    try:
        _, card = load_network(partial)
    except ModelFileError as error:
        raise ModelFileError(str(error).replace(partial.name, origin)) from error
    name = plain_name(name or (card.name if called in _OFTEN else called))
    _check_name(name, overwrite=overwrite)
    path = user_folder() / f"{name}.safetensors"
    fill(partial, lambda _: None)
    note_origin(name, {"source": origin, "sha256": digest, "when": _now()})  # may find no room
    partial.replace(path)
    return Added(ModelEntry(name, path), card, digest, origin)


def _check_name(name: str, *, overwrite: bool) -> None:
    if (BUNDLED / f"{name}.safetensors").exists():
        raise ModelFileError(f"'{name}' came with the program; choose another name by --name.")
    if not overwrite and (user_folder() / f"{name}.safetensors").exists():
        raise ModelFileError(
            f"There is a model '{name}' already; choose another name by --name, or --overwrite."
        )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _reason(error: OSError, folder: Path) -> str:
    if error.errno in _FULL:
        return f"There is no room left in {folder}; make some. Nothing was added."
    where = error.filename or folder
    return f"{where} can't be used ({error.strerror or error}); nothing was changed."
