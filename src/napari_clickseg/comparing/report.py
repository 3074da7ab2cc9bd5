"""The report of a comparison, with its tables for programs; needs no torch."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any

from napari_clickseg.comparing import figures
from napari_clickseg.comparing.plots import plot_all
from napari_clickseg.comparing.spec import shown
from napari_clickseg.training.spec import TASK_WORDS
from napari_clickseg.training.tables import markdown, write_table
from napari_clickseg.util.pages import write_report_files
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.comparing.figures import Figures, Group
    from napari_clickseg.comparing.folder import ComparisonFolder
    from napari_clickseg.comparing.spec import ComparisonSpec

_BUDGET = ("epochs", "windows", "size", "batch", "accumulate", "patience")
_NONE = "-"


def write_report(folder: ComparisonFolder) -> None:
    """Write report.md, its plots, comparison.csv and comparison.json, of what there is by now.

    Raises
    ------
    OSError
        If they can't be written.
    """
    collected = figures.collect(folder)
    groups = figures.grouped(collected)
    write_table(folder.table, figures.rows(collected))
    folder.write(folder.figures, json.dumps(overview(folder, collected), indent=2) + "\n")
    parts = [f"# Comparison of {' and '.join(folder.spec.vary)}", _summary(folder, collected)]
    parts += _results(folder, groups)
    if any(one.curve for one in collected):
        drawn = plot_all(folder, groups)
        parts += ["## Plots", *(f"![{text}]({name})" for name, text in drawn.items())]
    parts += _failures(collected) + folder.messages()
    parts.append("## Spec\n\n```json\n" + folder.spec.to_json() + "```")
    write_report_files(folder.report, "\n\n".join(parts) + "\n")


def overview(
    folder: ComparisonFolder, collected: Sequence[Figures] | None = None
) -> dict[str, Any]:
    """Return all figures as values that JSON knows.

    Parameters
    ----------
    folder : ComparisonFolder
        With any number of trainings that ended.
    collected : sequence of Figures, optional
        Where they were read already.
    """
    known = figures.collect(folder) if collected is None else collected
    spec = folder.spec
    return {
        "vary": {key: list(values) for key, values in spec.vary.items()},
        "seeds": list(spec.seeds),
        "metric": spec.training.metric,
        "images": {name: len(some) for name, some in folder.split().items()},
        "combinations": [_combination(group) for group in figures.grouped(known)],
        "trainings": [
            {name: value for name, value in row.items() if value != ""}
            for row in figures.rows(known)
        ],
    }


def _combination(group: Group) -> dict[str, Any]:
    def both(values: Sequence[float]) -> dict[str, Any] | None:
        summed = figures.spread(values)
        return None if summed is None else {"mean": summed[0], "std": summed[1]}

    names = {name: None for one in group.done for name in one.validation}
    tested = {name: None for one in group.done for name in one.test}
    return {
        "values": group.values,
        "done": len(group.done),
        "problems": [one.problem for one in group.all if one.problem],
        "validation": {name: both(group.values_of(name)) for name in names},
        "test": {name: both(group.values_of(name, test=True)) for name in tested},
        "parameters": group.done[0].parameters if group.done else None,
        "seconds": both(group.each(lambda one: one.seconds)),
        "latency_ms": both(group.each(lambda one: one.latency_ms)),
    }


def _summary(folder: ComparisonFolder, collected: Sequence[Figures]) -> str:
    spec, sets = folder.spec, {name: len(some) for name, some in folder.split().items()}
    training = spec.training
    counts = " × ".join(f"{key} ({len(values)})" for key, values in spec.vary.items())
    seeds = f", each with the seeds {', '.join(map(str, spec.seeds))}" if spec.seeds[1:] else ""
    tested = f", {sets['test']} to test on" if sets["test"] else ""
    innocent = "; the test images chose nothing" if sets["test"] else ""
    network = [
        f" {key.capitalize()}: {getattr(training, key)}."
        for key in ("architecture", "encoder")
        if key not in spec.vary and getattr(training, key)
    ]
    lines = [
        f"{counted(len(collected), 'training')}: {counts}{seeds}. "
        f"Task: {TASK_WORDS[training.task]} ({training.task}). Start: {_start(spec)}."
        + "".join(network),
        "All have the same split, which was checked after each training: "
        f"{counted(sets['training'], 'image')} to learn from, {sets['validation']} to validate "
        f"on{tested} "
        f"(`split/index.csv`). {_budget(spec)}",
        f"All figures are of the epoch with the best {training.metric} on the validation images, "
        f"so those on them flatter a little{innocent}.",
        _spread_note(spec.seeds),
    ]
    undone = [f"{one.trial.name} ({one.state})" for one in collected if one.state != "done"]
    if undone:
        ended = len(collected) - len(undone)
        lines.append(f"{ended} of {len(collected)} are done. The others: {', '.join(undone)}.")
    return "\n\n".join(lines)


def _start(spec: ComparisonSpec) -> str:
    training = spec.training
    if "start" in spec.vary:
        return "varies"
    if training.start == "scratch":
        return "scratch"
    parts = "its encoder only" if training.start_parts == "encoder" else "as far as it fits"
    return f"{training.start}, {parts}"


def _budget(spec: ComparisonSpec) -> str:
    training = spec.training
    differs = [key for key in _BUDGET if key in spec.vary]
    most = "" if training.patience == 0 else f" at the most (patience {training.patience})"
    epochs = f"{training.epochs} epoch{'' if training.epochs == 1 else 's'}{most}"
    text = (
        f"{epochs} of {training.windows} windows of {training.size} pixels in batches of "
        f"{training.batch}."
    )
    if differs:
        return f"The budget is not the same, since {' and '.join(differs)} vary; otherwise {text}"
    return f"All have the same budget: {text}"


def _spread_note(seeds: Sequence[int]) -> str:
    if len(seeds) > 1:
        return (
            "± is the standard deviation over the seeds; differences that are not clearly larger "
            "say nothing."
        )
    return (
        "With one seed nobody knows how much is chance; small differences say nothing. Add "
        "`--seeds 0,1,2` to find out."
    )


def _results(folder: ComparisonFolder, groups: Sequence[Group]) -> list[str]:
    names = figures.figure_names(folder.spec.training.task, groups)
    if not names:
        return []
    parts = ["## On the validation images"]
    if "iou_micro" in names and "iou_macro" not in names:
        parts.append("There is one class, so the macro figures are the pooled ones.")
    for name, text in names.items():
        parts += [f"### {text}", *shape_tables(folder, groups, name)]
    if any(one.test for group in groups for one in group.done):
        parts.append("## On the test images")
        for name, text in names.items():
            parts += [f"### {text}, test images"]
            parts += shape_tables(folder, groups, name, test=True)
    parts += ["## Size and time", _cost(groups), _latency(groups)]
    return parts


def shape_tables(
    folder: ComparisonFolder, groups: Sequence[Group], name: str, *, test: bool = False
) -> list[str]:
    """Return tables of a figure: a column for each value of the first setting that varies.

    A row is for each value of the second one, and a table for each combination of the others.

    Parameters
    ----------
    folder : ComparisonFolder
        Says what varies.
    groups : sequence of Group
        All combinations.
    test : bool
        On the test images.
    """
    first, *rest = list(folder.spec.vary.items())
    second, others = (rest[0] if rest else ("", (None,))), rest[1:]
    known = {group.name: group for group in groups}
    means = [figures.spread(group.values_of(name, test=test)) for group in groups]
    best = max((mean[0] for mean in means if mean), default=None)

    def cell(values: dict[str, Any]) -> str:
        text = ", ".join(f"{key}={shown(value)}" for key, value in values.items())
        return _cell(known[text], name, best, test)

    parts = []
    for more in product(*(values for _, values in others)):
        fixed = dict(zip((key for key, _ in others), more, strict=True))
        if fixed:
            parts.append(", ".join(f"{key}={shown(value)}" for key, value in fixed.items()) + ":")
        lines = []
        for value in second[1]:
            row = {second[0]: value} if rest else {}
            cells = [cell({first[0]: column} | row | fixed) for column in first[1]]
            lines.append([f"{second[0]} {shown(value)}" if rest else "", *cells])
        parts.append(markdown(["", *(shown(column) for column in first[1])], lines))
    return parts


def _cell(group: Group, name: str, best: float | None, test: bool) -> str:
    summed = figures.spread(group.values_of(name, test=test))
    if summed is None:
        return "failed" if any(one.state == "failed" for one in group.all) else _NONE
    text = _with_spread(summed, lambda value: f"{value:.3f}")
    few = len(group.done) < len(group.all)
    text += f" ({len(group.done)} of {len(group.all)} seeds)" if few else ""
    return f"**{text}**" if summed[0] == best else text


def _with_spread(summed: tuple[float, float | None], write: Callable[[float], str]) -> str:
    mean, deviation = summed
    return write(mean) if deviation is None else f"{write(mean)} ± {write(deviation)}"


def _cost(groups: Sequence[Group]) -> str:
    heads = [
        "", "best epoch", "million parameters", "seconds an epoch", "minutes in all",
        "latency in ms",
    ]  # fmt: skip
    lines = []
    for group in groups:
        epochs = ", ".join(str(one.best_epoch) for one in group.done) or _NONE
        parameters = [one.parameters for one in group.done if one.parameters is not None]
        lines.append(
            [
                group.name,
                epochs,
                f"{parameters[0] / 1e6:.2f}" if parameters else _NONE,
                _mean(group.each(lambda one: one.seconds / max(1, one.epochs)), 1),
                _mean(group.each(lambda one: one.seconds / 60), 1),
                _mean(group.each(lambda one: one.latency_ms), 1),
            ]
        )
    return markdown(heads, lines)


def _mean(values: Sequence[float], digits: int) -> str:
    summed = figures.spread(values)
    return _NONE if summed is None else _with_spread(summed, lambda value: f"{value:.{digits}f}")


def _latency(groups: Sequence[Group]) -> str:
    known = [one.latency_of for group in groups for one in group.done if one.latency_of]
    if not known:
        return "The latency is measured when all trainings have ended."
    one = known[0]
    half = ", half precision" if one["half"] else ""
    threads = f"{one['threads']} thread{'' if one['threads'] == 1 else 's'}"
    return (
        f"Latency: from a window of {one['size']} pixels to its probabilities, one at a time, the "
        f"median of several, on {one['device']}{half}"
        f"{', ' + threads if one['device'] == 'cpu' else ''}, after all trainings. Epochs include "
        "the validation."
    )


def _failures(collected: Sequence[Figures]) -> list[str]:
    lines = [f"- {one.trial.name}: {one.problem}" for one in collected if one.state == "failed"]
    if not lines:
        return []
    return ["## What failed", "\n".join(lines), "`--resume` tries these again."]
