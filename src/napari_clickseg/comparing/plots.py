"""Plots of a comparison's report."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.comparing import figures
from napari_clickseg.comparing.spec import shown
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_clickseg.comparing.figures import Figures, Group
    from napari_clickseg.comparing.folder import ComparisonFolder

# Told apart by the colour-blind.
_COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000", "#999999",
)  # fmt: skip
_LINES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_MARKED = 20  # epochs up to which each has a marker
_SCORES = ("iou_imagewise", "iou_clicks")


class _Look:
    """How combinations are drawn: a colour by the first setting, a line and marker by the rest."""

    def __init__(self, vary: Mapping[str, Sequence[Any]], groups: Sequence[Group]) -> None:
        self.first = next(iter(vary))
        self.colours = [shown(value) for value in vary[self.first]]
        self.rests = list(dict.fromkeys(self._rest(group) for group in groups))

    def _rest(self, group: Group) -> str:
        some = {key: value for key, value in group.values.items() if key != self.first}
        return ", ".join(f"{key}={shown(value)}" for key, value in some.items())

    def of(self, group: Group) -> dict[str, Any]:
        """Return a combination's colour, line and marker."""
        k = self.colours.index(shown(group.values[self.first]))
        n = self.rests.index(self._rest(group))
        return {
            "color": _COLOURS[k % len(_COLOURS)],
            "linestyle": _LINES[n % len(_LINES)],
            "marker": _MARKERS[n % len(_MARKERS)],
            "markerfacecolor": _COLOURS[k % len(_COLOURS)] if n == 0 else "none",
        }

    def legend(self, axes: Axes) -> None:
        """Say beside the axes what colours, lines and markers mean."""
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=_COLOURS[k % len(_COLOURS)], linewidth=3, label=name)
            for k, name in enumerate(self.colours)
        ]
        if len(self.rests) > 1:
            handles += [
                Line2D([], [], color="#555555", linestyle=_LINES[n % len(_LINES)],
                       marker=_MARKERS[n % len(_MARKERS)], markersize=5, label=name,
                       markerfacecolor="#555555" if n == 0 else "none")
                for n, name in enumerate(self.rests)
            ]  # fmt: skip
        axes.legend(
            handles=handles, title=self.first, fontsize="small", loc="center left",
            bbox_to_anchor=(1.01, 0.5), alignment="left", frameon=False,
            handlelength=3,
        )  # fmt: skip


def plot_all(folder: ComparisonFolder, groups: Sequence[Group]) -> dict[str, str]:
    """Write epochs.png and, once a training has ended, cost.png.

    Parameters
    ----------
    groups : sequence of Group
        At least one of them with an epoch.

    Returns
    -------
    dict
        What each file shows.
    """
    look = _Look(folder.spec.vary, groups)
    _plot_epochs(folder, groups, look)
    drawn = {"epochs.png": "Validation score by epoch"}
    if any(group.done for group in groups):
        _plot_cost(folder, groups, look)
        drawn["cost.png"] = "Score against size, latency and training time"
    return drawn


def _plot_epochs(folder: ComparisonFolder, groups: Sequence[Group], look: _Look) -> None:
    from matplotlib.figure import Figure  # without pyplot: it would look for a window
    from matplotlib.ticker import MaxNLocator

    metric = folder.spec.training.metric
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for group in groups:
        style = look.of(group) | {"markersize": 4}
        if max((one.epochs for one in group.all), default=0) > _MARKED:
            style["marker"] = ""
        for one in group.all:
            if one.curve:
                faint = 1.0 if len(group.all) == 1 else 0.25
                axes.plot(*zip(*one.curve, strict=True), linewidth=1.2, alpha=faint, **style)
        if len(group.all) > 1 and (mean := _mean_curve(group)):
            axes.plot(*zip(*mean, strict=True), linewidth=2, **style)
    axes.set(xlabel="epoch", ylabel=f"{_name(metric)}, validation images")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    look.legend(axes)
    _save(figure, folder.path / "epochs.png")


def _mean_curve(group: Group) -> list[tuple[int, float]]:
    """Return the mean over the seeds, of epochs that all of them had."""
    curves = [dict(one.curve) for one in group.all if one.curve]
    common = set.intersection(*(set(curve) for curve in curves)) if curves else set()
    return [(n, fmean(curve[n] for curve in curves)) for n in sorted(common)]


def _plot_cost(folder: ComparisonFolder, groups: Sequence[Group], look: _Look) -> None:
    from matplotlib.figure import Figure

    done = [group for group in groups if group.done]
    known = {name for group in done for one in group.done for name in one.validation}
    score = next((name for name in _SCORES if name in known), folder.spec.training.metric)
    costs: dict[str, Callable[[Figures], float | None]] = {
        "million parameters": _millions,
        "latency in ms": lambda one: one.latency_ms,
        "minutes of training": lambda one: one.seconds / 60,
    }
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    all_axes = figure.subplots(1, 3, sharey=True)
    for axes, (name, cost) in zip(all_axes, costs.items(), strict=True):
        for group in done:
            at, value = figures.spread(group.each(cost)), figures.spread(group.values_of(score))
            if at is not None and value is not None:
                style = look.of(group) | {"linestyle": "none", "markersize": 7}
                axes.errorbar(at[0], value[0], xerr=at[1], yerr=value[1], capsize=2, **style)
        axes.set(xlabel=name)
        axes.grid(alpha=0.3)
    all_axes[0].set(ylabel=f"{_name(score)}, validation images")
    look.legend(all_axes[-1])
    _save(figure, folder.path / "cost.png")


def _millions(one: Figures) -> float | None:
    return None if one.parameters is None else one.parameters / 1e6


def _name(figure: str) -> str:
    return (figures.NAMES | figures.CLICKED).get(figure, figure)


def _save(figure: Figure, path: Path) -> None:
    write_whole(path, lambda partial: figure.savefig(partial, dpi=120))
