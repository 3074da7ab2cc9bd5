"""Which projects and models the Review widget offers, and what it remembers. Worker threads."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.review.state import ModelOffer
from napari_clickseg.data.project import is_project
from napari_clickseg.models.card import same_project
from napari_clickseg.models.checkpoint import ModelFileError, read_card
from napari_clickseg.models.registry import list_models
from napari_clickseg.util.files import write_whole
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Offers", "OffersReader", "fitting", "learned_from", "remember_project"]

_MOST = 10  # projects and runs that are offered
_MODELS = ("best.safetensors", "model.safetensors")  # of a training, of a cross-fitting


@dataclass(frozen=True, slots=True)
class Offers:
    """What can be chosen.

    Parameters
    ----------
    projects : tuple of str
        The likeliest first.
    models : tuple of ModelOffer
        Those that need no click first, of them the last trained; those that were made worse last.
    """

    projects: tuple[str, ...] = ()
    models: tuple[ModelOffer, ...] = ()


class OffersReader:
    """Looks again and again at what can be chosen.

    Parameters
    ----------
    home : Path
        Where the program keeps what is the user's.
    runs : Path
        The folder whose `runs` are looked through.
    """

    def __init__(self, home: Path, runs: Path) -> None:
        self._home, self._runs = home, runs
        self._cards: dict[tuple[str, int], ModelOffer] = {}

    def look(self) -> Offers:
        """Return what there is now."""
        return Offers(self._projects(), self._models())

    def offer(self, path: Path) -> ModelOffer:
        """Return what is to be said of the model in a file."""
        try:
            key = str(path), path.stat().st_mtime_ns
        except OSError:
            return ModelOffer(path.stem, str(path), f"There is no file {path}.")
        if key not in self._cards:
            self._cards[key] = _offer(path)
        return self._cards[key]

    def _projects(self) -> tuple[str, ...]:
        """Return projects: one that was trained on since another was used comes first."""
        used, when = _remembered(self._home)
        found: list[str] = []
        later: list[str] = []
        for spec in self._latest("spec.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
                project = str(json.loads(spec.read_text(encoding="utf-8"))["project"])
                (found if _mtime(spec) > when else later).append(project)
        every = dict.fromkeys(str(Path(p).expanduser()) for p in (*found, *used, *later))
        return tuple(p for p in every if Path(p).is_dir() and is_project(Path(p)))[:_MOST]

    def _models(self) -> tuple[ModelOffer, ...]:
        trained = [path for name in _MODELS for path in self._latest(name)]
        trained.sort(key=_mtime, reverse=True)
        own = sorted((e.path for e in list_models() if not e.bundled), key=_mtime, reverse=True)
        bundled = [entry.path for entry in list_models() if entry.bundled]
        offers = [self.offer(path) for path in (*trained, *own, *bundled)]
        usable = [offer for offer in offers if offer.needs_clicks or not offer.refusal]
        return tuple(sorted(usable, key=lambda offer: (offer.needs_clicks, offer.worse)))

    def _latest(self, name: str) -> list[Path]:
        return sorted(self._runs.glob(f"runs/*/{name}"), key=_mtime, reverse=True)[:_MOST]


def fitting(models: Sequence[ModelOffer], project: str) -> ModelOffer | None:
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


def remember_project(home: Path, project: str) -> None:
    """Note that a project is used.

    Raises
    ------
    OSError
        If that can't be written.
    """
    used, _ = _remembered(home)
    projects = list(dict.fromkeys([project, *used]))[:_MOST]
    home.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"projects": projects}, indent=2)
    write_whole(_memory(home), lambda path: path.write_text(text, encoding="utf-8"))


def _remembered(home: Path) -> tuple[list[str], float]:
    """Return the projects that were used, the last first, and when that was noted."""
    try:
        known: Any = json.loads(_memory(home).read_text(encoding="utf-8"))
        return [str(each) for each in known["projects"]], _mtime(_memory(home))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return [], 0.0


def _memory(home: Path) -> Path:
    return home / "review.json"


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _offer(path: Path) -> ModelOffer:
    name = path.parent.name if path.name in _MODELS else path.stem
    try:
        card = read_card(path)
    except (ModelFileError, OSError) as error:
        return ModelOffer(name, str(path), one_line(error))
    return ModelOffer(
        name,
        str(path),
        card.refusal_without_clicks,
        not card.automatic,
        card.helped == "worse",
        tuple(source.name for source in card.data),
    )
