"""The finished tiles of a slide, on disk until all of them are there.

A tile is a file that appears complete or not at all, so whatever ends the work, the same command
goes on where it was.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.util.claims import release, take
from napari_clickseg.util.files import sweep, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ENDING = ".unfinished"
_ORDER, _GROUP = "order.json", "group.zarr"


class UnfinishedError(ValueError):
    """Finished tiles that can't be gone on with; the message says what to do."""


class TileFiles:
    """The finished tiles of a prediction.

    Parameters
    ----------
    out : Path
        Where the prediction will lie; they lie beside it.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out.with_name(f"{out.name}{_ENDING}")

    @contextlib.contextmanager
    def begun(self, order: Mapping[str, Any], *, anew: bool = False) -> Iterator[None]:
        """Hold the tiles while they are worked on, by nobody else.

        Parameters
        ----------
        order : mapping
            All that decides what is found, as JSON has it.
        anew : bool
            Drop the tiles of another order.

        Raises
        ------
        UnfinishedError
            If somebody works on them, or they are of another order.
        OSError
            If they can't be written.
        """
        free, claim = take(self.folder)
        if not free:
            raise UnfinishedError(
                f"{self.out} is being predicted by another program; wait for it, or stop it."
            )
        try:
            self._take_up(json.loads(json.dumps(order)), anew)
            yield
        finally:
            release(claim)

    def _take_up(self, order: dict[str, Any], anew: bool) -> None:
        there = self._order()
        if self.folder.exists() and there != order:
            if there is not None and not anew:
                raise UnfinishedError(
                    f"{self.folder} holds tiles of another image, model, region or rules; delete "
                    "it, or give --overwrite."
                )
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        text = json.dumps(order)
        write_whole(self.folder / _ORDER, lambda path: path.write_text(text, encoding="utf-8"))

    def _order(self) -> dict[str, Any] | None:
        try:
            said = json.loads((self.folder / _ORDER).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return said if isinstance(said, dict) else None

    @property
    def group(self) -> Path:
        """Where the prediction is put together."""
        return self.folder / _GROUP

    def put(self, number: int, arrays: Mapping[str, npt.ArrayLike]) -> None:
        """Keep a tile.

        Raises
        ------
        OSError
            If it can't be written.
        """
        known: dict[str, Any] = {name: np.asarray(values) for name, values in arrays.items()}
        write_whole(self._path(number), lambda path: np.savez_compressed(path, **known))

    def get(self, number: int) -> dict[str, npt.NDArray[Any]] | None:
        """Return a tile; None if it is not there, or broken."""
        try:
            with self._path(number).open("rb") as file, np.load(file, allow_pickle=False) as known:
                return {name: known[name] for name in known.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None

    def finish(self) -> None:
        """Put the prediction where it belongs, in place of what is there, and drop the tiles."""
        old = self.folder / "old"
        if self.out.exists():
            self.out.rename(old)
        self.group.rename(self.out)
        shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:07d}.npz"
