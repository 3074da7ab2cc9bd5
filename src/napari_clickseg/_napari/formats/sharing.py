"""What is handed on from the Files widget: pictures, projects in one file, models.

All of this belongs on the main thread; the work is done on the controller's worker.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_clickseg import __version__
from napari_clickseg.data.bundles.pack import pack
from napari_clickseg.data.bundles.unpack import unpack
from napari_clickseg.models._torch import keep_triton_out
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.models.registry import find_model
from napari_clickseg.models.sharing.adding import remove_model
from napari_clickseg.models.sharing.exported import export_model
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.formats.exchange import ExchangeController
    from napari_clickseg.engine.packaging import Packaging
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.models.sharing.offered import OfferedModel


class Sharing:
    """Draws pictures, packs projects, adds, exports and removes models.

    Parameters
    ----------
    exchange : ExchangeController
        Whose worker, progress and message are used; one thing goes on at a time.
    opened : callable
        Opens a project's folder as layers.
    """

    models_changed = Signal()

    def __init__(self, exchange: ExchangeController, opened: Callable[[Path], object]) -> None:
        self._exchange, self._opened = exchange, opened

    def draw(self, source: str, out: str, model: str = "", device: str = "auto") -> None:
        """Draw a project or a run into a folder; see `pictures`."""

        def work(notes: list[str]) -> str:
            from napari_clickseg.pictures.albums import album_of
            from napari_clickseg.pictures.picture_folder import write_pictures

            album = album_of(source, model=model, device=device)
            made = write_pictures(album, Path(out), progress=self._exchange.report)
            notes += [f"{name}: {why}" for name, why in made.problems.items()]
            return f"{counted(len(made.rows), 'image')} drawn: {made.page}"

        self._do("Drawing …", work, stopped="Stopped; what was drawn before stays.")

    def pack(self, project: str, bundle: str) -> None:
        """Pack a project into one file; the user has agreed to replace one that is there."""

        def work(notes: list[str]) -> str:
            made = pack(
                Path(project), Path(bundle), overwrite=True,
                program=f"napari-clickseg {__version__}", progress=self._exchange.report,
            )  # fmt: skip
            notes += made.left_out
            images, masks = counted(made.images, "image"), counted(made.masks, "mask")
            return f"{images}, {masks}, {made.bytes / 1e6:,.1f} MB: {bundle}"

        self._do("Packing …", work)

    def unpack(self, bundle: str, folder: str) -> None:
        """Make a project of a packed one, and open it."""

        def work(notes: list[str]) -> str:
            came = unpack(Path(bundle), Path(folder), progress=self._exchange.report)
            notes += came.left_out
            for path in came.models:
                notes.append(f"A model came along: drop {path} on the viewer to make it yours.")
            return f"{counted(came.images, 'image')}, {counted(came.masks, 'mask')}: {came.folder}"

        self._do("Unpacking …", work, lambda: self._opened(Path(folder)))

    def add(self, offered: OfferedModel, name: str = "", **said: object) -> None:
        """Add a model that was looked at to the user's own.

        Parameters
        ----------
        offered : OfferedModel
            As `offered_model` returned it.
        name : str
            What it is to be called.
        said
            What is said of a foreign network; fields of `ForeignNetwork`.
        """

        def work(_notes: list[str]) -> str:
            added = offered.add(name, self._exchange.report, said)
            return f"'{added.entry.name}' is one of your models now, in every list of models."

        self._do("Adding …", work, self.models_changed.emit, stopped="Stopped; nothing was added.")

    def export(self, model: str, out: str) -> None:
        """Write a model for other programs (.onnx), or for a colleague (.safetensors)."""

        def work(_notes: list[str]) -> str:
            export_model(model, Path(out))
            return f"'{model}' written: {out}"

        self._do("Writing and comparing …", work)

    def package(self, model: str, out: str, packaging: Packaging) -> None:
        """Write a model as a package of bioimage.io; a file that is there is replaced."""

        def work(_notes: list[str]) -> str:
            from napari_clickseg.engine.bioimage import export_bioimageio  # torch

            export_bioimageio(model, Path(out), packaging, overwrite=True)
            return f"'{model}' written as a package of bioimage.io: {out}"

        self._do("Writing and comparing …", work)

    def card_of(self, model: str) -> ModelCard:
        """Return what is known of a model.

        Raises
        ------
        ModelFileError
            If its file can't be read.
        """
        return read_card(find_model(model).path)

    def say(self, message: str) -> None:
        """Show the user a line."""
        self._exchange.state.message = message

    def remove(self, model: str) -> None:
        """Remove one of the user's models; the user has agreed."""

        def work(_notes: list[str]) -> str:
            return f"'{model}' removed ({remove_model(model)})."

        self._do("Removing …", work, self.models_changed.emit)

    def _do(
        self,
        begins: str,
        work: Callable[[list[str]], str],
        then: Callable[[], object] = lambda: None,
        *,
        stopped: str = "Stopped; nothing was written.",
    ) -> None:
        def alone(notes: list[str]) -> str:
            keep_triton_out()  # before anything here imports torch
            return work(notes)

        self._exchange.do(begins, alone, then, stopped=stopped)

    def path_of(self, model: str) -> Path:
        """Return where a model's file lies."""
        return find_model(model).path
