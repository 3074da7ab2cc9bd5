"""A file that may become one of the user's models: looked at, described, and added if wished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.models.checkpoint import ModelFileError, read_card
from napari_clickseg.models.registry import list_models
from napari_clickseg.models.sharing.bioimage_package import is_bioimage, read_bioimage
from napari_clickseg.runs.home import plain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.models.sharing.adding import Added

Kind = Literal["", "model", "onnx", "bioimage"]
_SHOWN = 6  # classes


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model that may be added.

    Parameters
    ----------
    kind : {"model", "onnx", "bioimage"}
        A model of this program, a network as ONNX, or a package of bioimage.io.
    name : str
        What it would be called.
    facts : tuple of (str, str)
        What is known of it: a word, and what it is.
    """

    path: Path
    kind: Kind
    name: str
    facts: tuple[tuple[str, str], ...]

    @property
    def foreign(self) -> bool:
        """Whether its file does not say how it is to be fed and read."""
        return self.kind == "onnx"

    def refusal(self, name: str) -> str:
        """Return why it can't be called so; empty if it can."""
        if not name.strip():
            return "Give it a name."
        taken = {entry.name for entry in list_models()}
        return "There is a model of that name." if plain_name(name) in taken else ""

    def add(
        self, name: str, progress: Callable[[int, int], None], said: Mapping[str, Any]
    ) -> Added:
        """Add it to the user's models, as a whole or not at all.

        Parameters
        ----------
        name : str
            What it is to be called.
        progress : callable
            Told how many bytes are done, of how many.
        said : mapping
            Fields of `ForeignNetwork`, where it is `foreign`.

        Raises
        ------
        ModelFileError
            If it can't be used here.
        """
        if self.kind == "onnx":
            from napari_clickseg.models.sharing.foreign_network import ForeignNetwork
            from napari_clickseg.models.sharing.onnx_import import import_onnx

            return import_onnx(self.path, ForeignNetwork(**said), name=name)
        if self.kind == "bioimage":
            from napari_clickseg.models.sharing.bioimage_import import import_bioimage

            return import_bioimage(self.path, name=name)
        from napari_clickseg.models.sharing.adding import add_model

        return add_model(str(self.path), name=name, progress=progress)


def model_kind(path: Path) -> Kind:
    """Return what kind of model a file is by its name, of a .zip by the names in it; "" if none."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return "bioimage" if is_bioimage(path) else ""
    kinds: dict[str, Kind] = {".safetensors": "model", ".onnx": "onnx"}
    return kinds.get(suffix, "")


def offered_model(path: Path) -> OfferedModel:
    """Look at a file, without its weights.

    Raises
    ------
    ModelFileError
        If it is no model, or one that can't be used here.
    """
    kind = model_kind(path)
    if kind == "model":
        card = read_card(path)
        return OfferedModel(path, kind, path.stem, (*_facts(card), _size(path)))
    if kind == "onnx":
        what = ("Kind", "a network as ONNX; it predicts without clicks, unless it was written here")
        return OfferedModel(path, kind, path.stem, (what, _size(path)))
    if kind == "bioimage":
        package = read_bioimage(path)
        said = package.said
        facts = [
            ("Kind", "a package of bioimage.io; it predicts without clicks"),
            ("Description", package.description),
            ("Before", ", ".join(str(step[0]) for step in said.steps)),
            ("Licence", package.licence),
        ]
        known = tuple((word, text) for word, text in facts if text)
        return OfferedModel(path, kind, plain_name(package.name), (*known, _size(path)))
    raise ModelFileError(f"{path.name} is no model: .safetensors, .onnx or a package (.zip) is.")


def _facts(card: ModelCard) -> list[tuple[str, str]]:
    classes = ", ".join(card.classes[:_SHOWN]) + (" …" if len(card.classes) > _SHOWN else "")
    facts = [
        ("Task", _task(card)),
        ("Description", card.description),
        ("Classes", classes),
        ("Network", f"{card.architecture} with {card.encoder}"),
        ("Licence", card.licence),
        ("Learned from", ", ".join(source.name for source in card.data[:_SHOWN])),
        ("Limits", card.limits),
    ]
    return [(word, text) for word, text in facts if text]


def _task(card: ModelCard) -> str:
    if card.objects is not None:
        return "finds all objects, touching ones apart, without clicks"
    if card.encoding == "image":
        return "finds its classes, without clicks"
    return "outlines what is clicked on" + (
        ", and finds things without clicks" if card.automatic else ""
    )


def _size(path: Path) -> tuple[str, str]:
    return "Size", f"{path.stat().st_size / 1e6:,.1f} MB"
