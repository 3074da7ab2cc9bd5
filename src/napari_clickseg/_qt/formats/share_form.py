"""The part of the Files widget that hands things on: pictures, projects in one file, models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog, QInputDialog, QMessageBox

from napari_clickseg._qt.annotate.lease import in_use
from napari_clickseg._qt.formats.dropped_model import ask_to_add
from napari_clickseg._qt.parts import folders
from napari_clickseg._qt.parts.controls import button, choice, form, looking_anew, row
from napari_clickseg.engine.packaging import Packaging, Pixels, is_licence
from napari_clickseg.models.checkpoint import ModelFileError
from napari_clickseg.models.registry import list_models

if TYPE_CHECKING:
    from napari_clickseg._napari.formats.exchange_state import ExchangeState
    from napari_clickseg._napari.formats.sharing import Sharing

_MODELS = "Models (*.safetensors *.onnx *.zip);;All files (*)"
# The forms that a model is written in, as the dialog calls them, with their endings.
_FORMS = {
    "For a colleague (*.safetensors)": ".safetensors",
    "ONNX (*.onnx)": ".onnx",
    "Package of bioimage.io (*.zip)": ".zip",
}
_NO_IMAGE = (
    "A package shows what the model answers: with Annotate, press “Annotate this image” on an "
    "image of the kind it is for, and export again."
)
_NO_CLICK = (
    "A package shows what the model answers to a click: click on an object with Annotate, and "
    "export again before you accept it."
)


class ShareForm:
    """Draws pictures of a project, packs and unpacks it, and has models come and go.

    Parameters
    ----------
    state : ExchangeState
        Whose project is meant.
    """

    def __init__(self, parent: Any, viewer: Any, sharing: Sharing, state: ExchangeState) -> None:
        self._parent, self._viewer, self._sharing, self._state = parent, viewer, sharing, state
        self.pictures = button(
            "Pictures…",
            "Draws what was predicted beside what is there: contours, panels and animations, on a "
            "page. Asks for a project, unless one is chosen above, and for a new folder.",
            lambda: self.draw(self._project()),
        )
        self.pack = button(
            "Pack a project…",
            "Writes a project into one file, to be handed on.",
            lambda: self.ask_pack(self._project()),
        )
        self.unpack = button(
            "Unpack a project…", "Makes a project of a packed one, and opens it.", self.ask_unpack
        )
        self.model = looking_anew(
            choice("Model", "The bundled model and those that you added.", self._models)
        )
        self.add = button(
            "Add…",
            "Adds a model to yours: .safetensors, .onnx or a package of bioimage.io. Dropping its "
            "file on the viewer does the same.",
            self.ask_add,
        )
        self.export = button(
            "Export…",
            "Writes the model for a colleague, as ONNX, or as a package of bioimage.io with what "
            "it answers on the image that is annotated.",
            self.ask_export,
        )
        self.remove = button("Remove…", "Removes the model from yours.", self.ask_remove)
        self.widget = form(
            self.pictures,
            row(self.pack, self.unpack),
            form(self.model),
            row(self.add, self.export, self.remove),
            labels=False,
        )
        self.buttons = (
            self.pictures, self.pack, self.unpack, self.add, self.export, self.remove,
        )  # fmt: skip
        sharing.models_changed.connect(self.refresh)

    def refresh(self) -> None:
        """List the models that there are now."""
        with self.model.changed.blocked():
            self.model.reset_choices()

    def draw(self, source: str, model: str = "") -> None:
        """Ask where pictures of a project or a run go, and draw them."""
        if not source:
            return
        out = folders.choose_or_make_folder(self._parent, "A new folder for the pictures")
        if out:
            self._sharing.draw(source, out, model)

    def ask_pack(self, project: str) -> None:
        """Ask for a file, and pack a project into it."""
        if not project:
            return
        out, _ = QFileDialog.getSaveFileName(
            self._parent, "The packed project", f"{Path(project).name}.zip", "Projects (*.zip)"
        )
        if out:
            self._sharing.pack(project, out if out.endswith(".zip") else f"{out}.zip")

    def ask_unpack(self) -> None:
        """Ask for a packed project and a folder, and unpack it there."""
        bundle, _ = QFileDialog.getOpenFileName(
            self._parent, "A packed project", "", "Projects (*.zip)"
        )
        folder = bundle and folders.choose_or_make_folder(
            self._parent, "A new folder for the project"
        )
        if folder:
            self._sharing.unpack(bundle, folder)

    def ask_add(self) -> None:
        """Ask for a model's file, and whether to add it."""
        path, _ = QFileDialog.getOpenFileName(self._parent, "A model", "", _MODELS)
        if path:
            ask_to_add(self._viewer, Path(path))

    def ask_export(self) -> None:
        """Ask for a file, and write the chosen model to it."""
        model = self.model.value
        named, form = QFileDialog.getSaveFileName(
            self._parent, "Where the model goes", model, ";;".join(_FORMS)
        )
        if not named:
            return
        ended = named.lower().endswith(tuple(_FORMS.values()))
        out = named if ended else f"{named}{_FORMS.get(form, '.safetensors')}"
        if out != named and Path(out).exists() and not self._may_replace(out):
            return  # the dialog asked for another name
        if out.lower().endswith(".zip"):
            self._package(model, out)
        else:
            self._sharing.export(model, out)

    def _may_replace(self, out: str) -> bool:
        answer = QMessageBox.question(
            self._parent, "Replace a file", f"{out} is there already. Replace it?"
        )
        return answer == QMessageBox.StandardButton.Yes

    def _package(self, model: str, out: str) -> None:
        """Write a package of bioimage.io, with the image that is annotated as its example."""
        controller = in_use(self._viewer)
        clicked = None if controller is None else controller.clicked_on()
        try:
            card = self._sharing.card_of(model)
        except ModelFileError as error:
            self._sharing.say(str(error))
            return
        if clicked is None or not (card.automatic or clicked[2]):
            self._sharing.say(_NO_IMAGE if clicked is None else _NO_CLICK)
            return
        levels, rgb, clicks = clicked
        author = self._ask("Who made the model?", "Their name, as it is to be cited:")
        licence = card.licence
        if author and not is_licence(licence):
            licence = self._ask("Under which licence?", "As SPDX calls it, such as CC-BY-4.0:")
        if author and licence:
            packaging = Packaging(Pixels(levels, rgb), clicks, (author,), licence)
            self._sharing.package(model, out, packaging)

    def _ask(self, title: str, text: str) -> str:
        """Return what the user types; "" where they don't."""
        said, accepted = QInputDialog.getText(self._parent, title, text)
        return said.strip() if accepted else ""

    def ask_remove(self) -> None:
        """Ask whether the chosen model is to go; its file is deleted."""
        model = self.model.value
        answer = QMessageBox.question(
            self._parent,
            "Remove a model",
            f"Remove '{model}'? Its file is deleted: {self._sharing.path_of(model)}",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._sharing.remove(model)

    def _models(self, _: object) -> list[tuple[str, Any]]:
        return [(entry.name, entry.name) for entry in list_models()]

    def _project(self) -> str:
        """Return the project that is chosen above; else the user is asked."""
        return self._state.project or QFileDialog.getExistingDirectory(
            self._parent, "The folder of a project"
        )
