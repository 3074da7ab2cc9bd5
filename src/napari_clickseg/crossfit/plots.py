"""Plots of a cross-fitting's report."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_clickseg.crossfit import figures
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

_COLOURS = ("#999999", "#56b4e9", "#009e73")  # of figures.KINDS, told apart by the colour-blind


def plot_all(
    folder: Path, folds: Mapping[int, Sequence[Mapping[str, Any]]], report: Mapping[str, Any]
) -> None:
    """Write folds.png, clicks.png and obedience.png.

    Parameters
    ----------
    folds : mapping of int to sequence of mapping
        The measured images of each fold.
    report : mapping
        From `report.overview`.
    """
    with _plot(folder / "folds.png") as axes:
        _folds(axes, folds)
    with _plot(folder / "clicks.png") as axes:
        _clicks(axes, report)
    with _plot(folder / "obedience.png") as axes:
        _obedience(axes, report["obedience"])


@contextmanager
def _plot(path: Path) -> Iterator[Axes]:
    """Let something be drawn, and write it."""
    from matplotlib.figure import Figure  # without pyplot: it would look for a window

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.add_subplot()
    yield axes
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize="x-small")
    write_whole(path, lambda partial: figure.savefig(partial, dpi=120))


def _folds(axes: Axes, folds: Mapping[int, Sequence[Mapping[str, Any]]]) -> None:
    for k, (kind, name) in enumerate(figures.KINDS.items()):
        values = [figures.summed_up(list(i))[kind]["dice_imagewise"] for i in folds.values()]
        at = [n + 0.25 * (k - 1) for n in range(len(folds))]
        axes.bar(at, values, width=0.23, color=_COLOURS[k], label=name)
    axes.set(xlabel="fold", ylabel="Dice, image-wise", ylim=(0, 1))
    axes.set_xticks(range(len(folds)), [str(fold) for fold in folds])


def _clicks(axes: Axes, report: Mapping[str, Any]) -> None:
    curve = report["curve"]
    axes.plot(range(len(curve)), curve, color="black", marker=".", label="simulated annotator")
    for colour, (kind, name) in zip(_COLOURS, figures.KINDS.items(), strict=True):
        value = report["all"][kind]["iou_imagewise"]
        axes.axhline(value, color=colour, linestyle="--", linewidth=1.2, label=name)
    axes.set(xlabel="clicks", ylabel="mean IoU", ylim=(0, 1))


def _obedience(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for k, name in enumerate(("positive", "negative")):
        some = [r for r in rows if r["clicks"] == name and (r["low"], r["high"]) != (0.5, 1.0)]
        at = [n + 0.36 * (k - 0.5) for n in range(len(some))]
        values = [r["obeyed"] or 0.0 for r in some]
        bars = axes.bar(at, values, width=0.33, color=("#009e73", "#d55e00")[k], label=name)
        axes.bar_label(bars, [str(r["count"]) for r in some], fontsize="x-small")
        changed = [(x, r["obeyed_wrong"]) for x, r in zip(at, some, strict=True)]
        changed = [(x, share) for x, share in changed if share is not None]
        label = None if k else "those that were wrong without clicks"
        axes.plot(*zip(*changed, strict=True) if changed else ([], []), "kD", ms=4, label=label)
    axes.set(xlabel="the baseline's confidence where it was wrong", ylabel="share obeyed")
    axes.set_ylim(0, 1.08)
    axes.set_xticks(range(len(figures.BINS)), [f"{low} to {high}" for low, high in figures.BINS])
