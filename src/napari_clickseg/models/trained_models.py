"""Which trained models there are, and which of them fits a project. Worker threads."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.models.card import same_project
from napari_clickseg.models.checkpoint import ModelFileError, read_card
from napari_clickseg.models.registry import list_models
from napari_clickseg.util.files import last_changed, write_whole
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST = 10  # of a kind that are offered: the last trained
_ORIGINS, _LARGEST_NOTE = "origins.json", 1_000_000  # of a run; bytes
_MODELS = ("best.safetensors", "model.safetensors")  # of a training, of a cross-fitting


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """A model that can be chosen.

    Parameters
    ----------
    name : str
        As the user sees it.
    path : str
        Of its .safetensors file.
    refusal : str
        Why it can't predict the rest; empty if it can.
    needs_clicks : bool
        That is the reason.
    takes_clicks : bool
        It makes use of clicks.
    tells_apart : bool
        It finds all objects of an image, each its own.
    helped : str
        Whether its training did, in the words of `training.verdict`; empty if unknown.
    learned_from : tuple of str
        Names of the sets that it was trained on: folders and tables of projects, and the projects
        that layers were opened from of which such a folder was gathered.
    bundled : bool
        It came with the program.
    """

    name: str
    path: str
    refusal: str = ""
    needs_clicks: bool = False
    takes_clicks: bool = False
    tells_apart: bool = False
    helped: str = ""
    learned_from: tuple[str, ...] = ()
    bundled: bool = False

    @property
    def worse(self) -> bool:
        """Whether it did worse than the model that its training began with."""
        return self.helped == "worse"


class TrainedModels:
    """Looks again and again which models there are; a file is read once, until it changes.

    Parameters
    ----------
    folder : Path
        The folder whose `runs` are looked through.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, int], ModelOffer] = {}

    def offers(self) -> tuple[ModelOffer, ...]:
        """Return the models of runs, the last first; then the user's own, and the bundled ones."""
        trained = sorted(
            (path for name in _MODELS for path in self._latest(name)),
            key=last_changed,
            reverse=True,
        )
        entries = list_models()
        own = sorted((e.path for e in entries if not e.bundled), key=last_changed, reverse=True)
        bundled = [entry.path for entry in entries if entry.bundled]
        offers = [self.offer(path) for path in (*trained, *own)]
        return (*offers, *(replace(self.offer(path), bundled=True) for path in bundled))

    def offer(self, path: Path) -> ModelOffer:
        """Return what is to be said of the model in a file."""
        try:
            key = str(path), path.stat().st_mtime_ns
        except OSError:
            return ModelOffer(path.stem, str(path), f"There is no file {path}.")
        if key not in self._known:
            self._known[key] = _offer(path)
        return self._known[key]

    def that_take_clicks(self, project: str) -> tuple[ModelOffer, ...]:
        """Return the models that learned from a project and take clicks, the last trained first.

        Those that their training made worse are left out.
        """
        offers = {offer.path: offer for offer in self.offers()}
        suited = [
            offer
            for offer in offers.values()
            if offer.takes_clicks and not offer.worse and learned_from(offer, project)
        ]
        return tuple(sorted(suited, key=lambda one: last_changed(Path(one.path)), reverse=True))

    def _latest(self, name: str) -> list[Path]:
        paths: Iterable[Path] = self._folder.glob(f"runs/*/{name}")
        return sorted(paths, key=last_changed, reverse=True)[:_MOST]


def best_fitting(models: Sequence[ModelOffer], project: str) -> ModelOffer | None:
    """Return the model to begin with: one that learned from the project, the first if none did.

    One that its training made worse comes only where there is no other.
    """
    able = [offer for offer in models if not offer.refusal]
    return min(
        able,
        key=lambda offer: (offer.worse, not learned_from(offer, project)),
        default=None,
    )


def learned_from(offer: ModelOffer, project: str) -> bool:
    """Whether a model was trained on a project."""
    return any(same_project(name, project) for name in offer.learned_from)


def model_name(path: Path) -> str:
    """Return what the model in a file is called: as its run, or as the file."""
    if path.name in _MODELS:
        return path.parent.name
    return path.stem if path.suffix == ".safetensors" else path.name


def _offer(path: Path) -> ModelOffer:
    try:
        card = read_card(path)
    except (ModelFileError, OSError) as error:
        return ModelOffer(model_name(path), str(path), one_line(error))
    return ModelOffer(
        model_name(path),
        str(path),
        card.refusal_without_clicks,
        not card.automatic,
        card.encoding != "image",
        card.objects is not None,
        card.helped,
        (*(source.name for source in card.data), *origins_of(path.parent)),
    )


def note_origins(run: Path, projects: Iterable[str]) -> None:
    """Note which projects the layers were opened from that a run learns from.

    Parameters
    ----------
    projects : iterable of str
        Their folders; nothing is noted where there are none.

    Raises
    ------
    OSError
        If it can't be written.
    """
    folders = sorted(set(projects))
    if folders:
        text = json.dumps(folders)
        write_whole(run / _ORIGINS, lambda path: path.write_text(text, encoding="utf-8"))


def origins_of(run: Path) -> tuple[str, ...]:
    """Return what was noted by `note_origins`; nothing where that can't be read."""
    path = run / _ORIGINS
    try:
        if path.stat().st_size > _LARGEST_NOTE:
            return ()
        origins = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ()
    return (
        tuple(one for one in origins if isinstance(one, str)) if isinstance(origins, list) else ()
    )
