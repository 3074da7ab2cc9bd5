"""A run's report: what was asked for, how it went, and how good the model is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_clickseg.training.progress import RunProgress, follow, parted
from napari_clickseg.training.spec import TASK_WORDS
from napari_clickseg.training.tables import markdown, read_table
from napari_clickseg.util.pages import write_report_files
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from napari_clickseg.training.progress import HelpRow
    from napari_clickseg.training.run_folder import RunFolder

_SHOWN = 20  # images in the report's table, the worst ones
_CLICKS = re.compile(r"_\d$")  # of a figure after a number of clicks
_SUMMED = re.compile(r"_(imagewise|micro)_\d$")


def write_report(run: RunFolder, classes: Sequence[str] = ()) -> Path:
    """Write `report.md`, the same as `report.html`, and its plots, of what is in the run.

    Parameters
    ----------
    run : RunFolder
        Of a training that has had an epoch at least.
    classes : sequence of str
        Names for the table of confusions, without the background.

    Returns
    -------
    Path
        Of the report.
    """
    events = run.events()[0]
    epochs = read_table(run.path / "metrics.csv")
    parts = [f"# {run.spec.name}", _summary(run, events, epochs)]
    if epochs:
        _plot(epochs, run.path / "curves.png", run.spec.metric)
        parts.append("![Loss and figures in the course of the training](curves.png)")
        parts.append(_best(epochs, clicked=run.spec.task == "click"))
    helped = [event for event in events if event["event"] == "help"]
    if helped:
        parts.append("## Did it help?\n\n" + _help(helped[-1]))
    images = read_table(run.path / "images.csv")
    if images:
        parts.append(_worst(images, clicked=run.spec.task == "click"))
    confusion = read_table(run.path / "confusion.csv")
    if len(confusion) > 1:
        parts.append(_confusion(confusion, classes))
    said = [event for event in events if event["event"] == "message"]
    if said:
        lines = dict.fromkeys(f"- {event['text']}" for event in said)
        parts.append("## What was said\n\n" + "\n".join(lines))
    parts.append("## Spec\n\n```json\n" + run.spec.model_dump_json(indent=2) + "\n```")
    text = "\n\n".join(parts) + "\n"
    path = run.path / "report.md"
    write_report_files(path, text)
    return path


def _summary(
    run: RunFolder, events: Sequence[dict[str, Any]], epochs: Sequence[dict[str, str]]
) -> str:
    spec = run.spec
    started = [event for event in events if event["event"] == "started"]
    images = (
        f"{counted(started[-1]['training'], 'image')} trained on, "
        f"{started[-1]['validation']} validated on"
        if started
        else ""
    )
    seconds = sum(float(one["seconds"]) for one in epochs)
    waited = [float(one["waiting_share"]) for one in epochs]
    share = sum(waited) / len(waited) if waited else 0.0
    device = f" on {started[-1]['device']}" if started else ""
    return (
        f"Task: {TASK_WORDS[spec.task]} ({spec.task}). {images}. "
        f"{counted(len(epochs), 'epoch')} in {seconds / 60:.1f} minutes{device}; the "
        f"network waited for windows in {share:.1%} of the time."
    )


def _best(epochs: Sequence[dict[str, str]], *, clicked: bool) -> str:
    best = [one for one in epochs if one["best"] == "True"]
    if not best:
        return ""
    skipped = {"loss", "learning_rate", "best", "seconds", "waiting_share", "epoch"}
    known = {k: v for k, v in best[-1].items() if k not in skipped and v}
    by_clicks = _by_clicks(known) if clicked else {}
    lines = [f"## The best epoch: {best[-1]['epoch']}", "", "| figure | value |", "|---|--:|"]
    lines += [f"| {k} | {v} |" for k, v in known.items() if not (by_clicks and _CLICKS.search(k))]
    if by_clicks:
        heads = ["clicks", *dict.fromkeys(name for row in by_clicks.values() for name in row)]
        rows = [[n, *(row.get(k, "") for k in heads[1:])] for n, row in by_clicks.items()]
        lines += ["", markdown(heads, rows)]
    return "\n".join(lines)


def _by_clicks(figures: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return figures such as iou_3 by the number of clicks that they are of."""
    by_count: dict[str, dict[str, str]] = {}
    for key, value in figures.items():
        name, _, clicks = key.rpartition("_")
        if _CLICKS.search(key):
            by_count.setdefault(clicks, {})[name] = value
    return by_count


def _help(event: dict[str, Any]) -> str:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    rows = [[row.text, shown(row.before), shown(row.after)] for row in _help_rows(event)]
    parts = [str(event.get("text") or "")]
    parts.append(markdown(["on the validation images", "before", "after"], rows))
    advice = [f"- {line}" for line in event.get("advice", ())]
    if advice:
        parts.append("### What to do next\n\n" + "\n".join(advice))
    return "\n\n".join(filter(None, parts))


def _help_rows(event: dict[str, Any]) -> list[HelpRow]:
    """Return the rows of the table, those that say most first."""
    first, others = parted(follow(RunProgress(), [event]).table)
    return [*first, *others]


def _worst(images: Sequence[dict[str, str]], *, clicked: bool) -> str:
    last = list(images[0])[-1]
    ordered = sorted(images, key=lambda row: float(row[last] or "nan"))[:_SHOWN]
    left_out = ("dice_", "precision_", "recall_") if clicked else ()
    names = [name for name in images[0] if not name.startswith(left_out)]
    heads = f"## The validation images, the worst {len(ordered)} first\n\n"
    return heads + markdown(names, [[row[name] for name in names] for row in ordered])


def _confusion(rows: Sequence[dict[str, str]], classes: Sequence[str]) -> str:
    names = ["background", *classes]
    names += [str(i) for i in range(len(names), len(rows))]
    lines = [
        "## Which class was taken for which",
        "",
        "Pixels of the validation images; a row for what they are, a column for the prediction.",
        "",
        f"| | {' | '.join(names)} |",
        f"|---|{'--:|' * len(names)}",
    ]
    lines += [
        f"| {name} | {' | '.join(row.values())} |" for name, row in zip(names, rows, strict=False)
    ]
    return "\n".join(lines)


def _plot(epochs: Sequence[dict[str, str]], path: Path, metric: str) -> None:
    from matplotlib.figure import Figure  # without pyplot: it would look for a window

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _lines(left, epochs, ["loss", "validation_loss"])
    left.set(xlabel="epoch", ylabel="loss")
    known = {"epoch", "loss", "validation_loss", "learning_rate", "best", "seconds"}
    names = [name for name in epochs[0] if name not in known | {"waiting_share"}]
    family = f"{metric.split('_')[0]}_"
    shown = [n for n in names if n == metric or n.startswith(family)] or names
    if "iou_clicks" in names:
        shown = [n for n in shown if not _SUMMED.search(n)] or shown
    _lines(right, epochs, shown)
    right.set(xlabel="epoch", ylim=(0, 1))
    figure.savefig(path, dpi=120)


def _lines(axes: Axes, epochs: Sequence[dict[str, str]], names: Sequence[str]) -> None:
    for name in names:
        at = [(int(one["epoch"]), float(one[name])) for one in epochs if one.get(name)]
        if at:
            axes.plot(*zip(*at, strict=True), label=name, linewidth=1.4)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small")
