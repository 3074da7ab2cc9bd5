"""Which projects and models the Review widget offers, and what it remembers. Worker threads."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.data.project import is_project
from napari_clickseg.models.trained_models import TrainedModels
from napari_clickseg.util.files import last_changed, write_whole

if TYPE_CHECKING:
    from napari_clickseg.models.trained_models import ModelOffer

_MOST = 10  # projects that are offered


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
        self._trained = TrainedModels(runs)

    def look(self) -> Offers:
        """Return what there is now."""
        return Offers(self._projects(), self._models())

    def offer(self, path: Path) -> ModelOffer:
        """Return what is to be said of the model in a file."""
        return self._trained.offer(path)

    def _projects(self) -> tuple[str, ...]:
        """Return projects: one that was trained on since another was used comes first."""
        used, when = _remembered(self._home)
        newer: list[str] = []
        later: list[str] = []
        specs = sorted(self._runs.glob("runs/*/spec.json"), key=last_changed, reverse=True)
        for spec in specs[:_MOST]:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
                project = str(json.loads(spec.read_text(encoding="utf-8"))["project"])
                (newer if last_changed(spec) > when else later).append(project)
        every = dict.fromkeys(str(Path(p).expanduser()) for p in (*newer, *used, *later))
        return tuple(p for p in every if Path(p).is_dir() and is_project(Path(p)))[:_MOST]

    def _models(self) -> tuple[ModelOffer, ...]:
        offers = self._trained.offers()
        usable = [offer for offer in offers if offer.needs_clicks or not offer.refusal]
        return tuple(sorted(usable, key=lambda offer: (offer.needs_clicks, offer.worse)))


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
        return [str(each) for each in known["projects"]], last_changed(_memory(home))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return [], 0.0


def _memory(home: Path) -> Path:
    return home / "review.json"
