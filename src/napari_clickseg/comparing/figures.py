"""The figures of a comparison, read from the files of its runs; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from napari_clickseg.comparing.spec import shown
from napari_clickseg.training.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.comparing.folder import ComparisonFolder
    from napari_clickseg.comparing.spec import Trial

NAMES = {
    "iou_imagewise": "IoU image-wise",
    "iou_micro": "IoU pooled",
    "iou_macro": "IoU macro",
    "dice_imagewise": "Dice image-wise",
    "dice_micro": "Dice pooled",
    "dice_macro": "Dice macro",
}
CLICKED = {
    "iou_clicks": "IoU, mean over clicks",
    "iou_0": "IoU without clicks",
    "iou_1": "IoU after a click",
    "iou_3": "IoU after 3 clicks",
    "iou_5": "IoU after 5 clicks",
}
OBJECTS = {
    "pq": "panoptic quality",
    "ap_50": "AP at IoU 0.5",
    "ap_mean": "AP, mean over IoU 0.5 to 0.9",
    "splits": "splits",
    "merges": "merges",
}
_OTHER = {
    "epoch", "loss", "validation_loss", "learning_rate", "best", "seconds", "waiting_share",
}  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """What is known of a training.

    Parameters
    ----------
    state : str
        "done", "failed", "running", "stopped" or "waiting".
    problem : str
        Why it failed.
    best_epoch, epochs : int
        By the spec's metric; how many there were. 0 before the first one.
    validation, test : dict of str to float
        Figures of the best epoch.
    curve : tuple of (int, float)
        The metric on the validation images, by epoch.
    seconds : float
        Of all rounds.
    latency_ms : float or None
        From a window to its probabilities.
    latency_of : dict
        Where that was measured.
    """

    trial: Trial
    state: str
    problem: str = ""
    best_epoch: int = 0
    epochs: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
    parameters: int | None = None
    latency_ms: float | None = None
    latency_of: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """A combination with all of its seeds.

    Parameters
    ----------
    values : dict
        What varies.
    name : str
        The same as one line.
    done : tuple of Figures
        The trainings that ended well; figures of the others count nowhere.
    """

    values: dict[str, Any]
    name: str
    done: tuple[Figures, ...]
    all: tuple[Figures, ...]

    def values_of(self, figure: str, *, test: bool = False) -> list[float]:
        """Return a figure of each seed."""
        values = [(one.test if test else one.validation).get(figure) for one in self.done]
        return [value for value in values if value is not None]

    def each(self, value: Callable[[Figures], float | None]) -> list[float]:
        """Return something of each seed."""
        values = [value(one) for one in self.done]
        return [one for one in values if one is not None]


def collect(folder: ComparisonFolder) -> list[Figures]:
    """Read what there is of each training."""
    events = folder.log.events()[0]
    return [_collected(folder, trial, events) for trial in folder.trials]


def _collected(folder: ComparisonFolder, trial: Trial, events: Sequence[dict[str, Any]]) -> Figures:
    state, problem = _state(folder, trial, events)
    table = read_table(folder.run(trial.name).path / "metrics.csv")
    best = next((row for row in reversed(table) if row["best"] == "True"), {})
    measured = folder.measured(trial.name)
    metric = folder.spec.training.metric
    return Figures(
        trial,
        state,
        problem,
        best_epoch=int(best.get("epoch", 0)),
        epochs=len(table),
        validation={k: float(v) for k, v in best.items() if k not in _OTHER and v},
        test=measured.get("test") or {},
        curve=tuple((int(r["epoch"]), float(r[metric])) for r in table if r.get(metric)),
        seconds=sum(float(row["seconds"]) for row in table),
        parameters=measured.get("parameters"),
        latency_ms=measured.get("latency_ms"),
        latency_of=measured.get("latency_of", {}),
    )


def _state(
    folder: ComparisonFolder, trial: Trial, events: Sequence[dict[str, Any]]
) -> tuple[str, str]:
    if folder.is_done(trial.name):
        return "done", ""
    own = [e for e in events if e.get("event") == "trial" and e["trial"] == trial.name]
    if not own:
        return "waiting", ""
    state = own[-1]["state"]
    if state == "started":
        # After a kill nobody says so; a comparison that goes on elsewhere runs.
        return ("running" if folder.log.state == "running" else "stopped"), ""
    return state, own[-1].get("message", "")


def grouped(figures: Sequence[Figures]) -> list[Group]:
    """Put the seeds of each combination together."""
    names = dict.fromkeys(one.trial.combination for one in figures)
    groups = []
    for name in names:
        some = tuple(one for one in figures if one.trial.combination == name)
        done = tuple(one for one in some if one.state == "done")
        groups.append(Group(some[0].trial.values, name, done, some))
    return groups


def figure_names(task: str, groups: Sequence[Group]) -> dict[str, str]:
    """Return the figures that a report shows, and what they are called.

    Where there is one class, the macro figures are the pooled ones; they are left out.
    """
    there = {name for group in groups for one in group.done for name in one.validation}
    known = {"click": CLICKED, "instances": OBJECTS}.get(task, NAMES)
    names = {name: text for name, text in known.items() if name in there}
    classes = {n for n in there if n.startswith("iou_")} - set(NAMES) - {"iou_foreground"}
    if known is NAMES and len(classes) <= 1:
        names = {name: text for name, text in names.items() if not name.endswith("_macro")}
    return names


def spread(values: Sequence[float]) -> tuple[float, float | None] | None:
    """Return the mean, and the standard deviation where there are two values or more."""
    if not values:
        return None
    return fmean(values), stdev(values) if len(values) > 1 else None


def rows(figures: Sequence[Figures]) -> list[dict[str, Any]]:
    """Return a row for each training, as in comparison.csv."""
    return [
        {
            "run": one.trial.name,
            **{key: shown(value) for key, value in one.trial.values.items()},
            "seed": one.trial.seed,
            "state": one.state,
            "problem": one.problem,
            "best_epoch": one.best_epoch or "",
            "epochs": one.epochs,
            "parameters": "" if one.parameters is None else one.parameters,
            "seconds_per_epoch": one.seconds / one.epochs if one.epochs else "",
            "seconds": one.seconds,
            "latency_ms": "" if one.latency_ms is None else one.latency_ms,
            **{f"validation_{name}": value for name, value in one.validation.items()},
            **{f"test_{name}": value for name, value in one.test.items()},
        }
        for one in figures
    ]
