"""Plots of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg.evaluation.report import by_set, mean_figures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_clickseg.evaluation.sweep import ImageResult

_SUFFIXES = (".png", ".svg", ".pdf")


class PlotError(ValueError):
    """A plot that can't be written; the message says why."""


def check_plot(path: Path) -> None:
    """Refuse a path that no plot can be written to.

    Raises
    ------
    PlotError
        If it does not end as a picture does.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise PlotError(f"{path} is not a kind of plot; let it end in {', '.join(_SUFFIXES)}.")


def plot_clicks(results: Sequence[ImageResult], path: Path, *, title: str = "") -> None:
    """Draw the mean IoU after each click, a line for each set and one for their mean.

    Parameters
    ----------
    results : sequence of ImageResult
        Of any number of sets, with an object at least.
    path : Path
        PNG, SVG or PDF, by its ending; replaced if it is there.
    title : str
        Above the plot.

    Raises
    ------
    PlotError
        If the path does not end as a picture does, or there is no object.
    """
    from matplotlib.figure import Figure  # without pyplot: it would look for a window
    from matplotlib.ticker import MaxNLocator

    check_plot(path)
    sets = by_set(results)
    if not sets:
        raise PlotError("There is no object to plot; evaluate a set with objects.")
    clicks = range(1, len(sets[0].iou) + 1)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for one in sets:
        axes.plot(clicks, one.iou, linewidth=1.2, label=one.name)
    if len(sets) > 1:
        mean = mean_figures(sets)
        axes.plot(clicks, mean.iou, color="black", linewidth=2.5, label=mean.name)
    axes.set(xlabel="clicks", ylabel="mean IoU", ylim=(0, 1), title=title)
    axes.set_xlim(1, max(2, clicks[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", ncols=1 + len(sets) // 24, loc="center left",
                bbox_to_anchor=(1, 0.5))  # fmt: skip
    figure.savefig(path, dpi=150)
