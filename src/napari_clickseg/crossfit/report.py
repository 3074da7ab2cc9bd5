"""The report of a cross-fitting, and the model that comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg.crossfit import figures
from napari_clickseg.crossfit.editing import edited
from napari_clickseg.crossfit.folder import STAGES
from napari_clickseg.crossfit.plots import plot_all
from napari_clickseg.training.tables import markdown
from napari_clickseg.util.pages import write_report_files
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_clickseg.crossfit.folder import CrossfitFolder, Done

Images = list[dict[str, Any]]
_STAGE_NAMES = {
    "baseline": "training the baselines",
    "predict": "out-of-fold predictions",
    "clicks": "regions and clicks",
    "clicked": "click training",
    "measure": "measuring",
    "final": "training the final model",
}


def finish(folder: CrossfitFolder, failed: Sequence[Done]) -> None:
    """Write the report, and the final model with the figures in its card.

    Parameters
    ----------
    folder : CrossfitFolder
        With the measured folds.
    failed : sequence of Done
        Stages with a problem.
    """
    write_report(folder, failed)
    if folder.final.model.exists():
        _publish(folder)


def overview(folder: CrossfitFolder) -> dict[str, Any] | None:
    """Return all figures as values that JSON knows; None where no fold was measured."""
    folds = _measured(folder)
    images = [image for some in folds.values() for image in some]
    if not images:
        return None
    return {
        "images": len(images),
        "folds": {str(fold): figures.summed_up(some) for fold, some in folds.items()},
        "all": figures.summed_up(images),
        "generated_clicks": sum(image["generated"] for image in images) / len(images),
        **_clicked(images),
        "clicked_folds": {str(fold): _clicked(some) for fold, some in folds.items()},
        "obedience": figures.obedience(images),
        "seconds": folder.seconds(),
    }


def _clicked(images: Images) -> dict[str, Any]:
    """Return what the simulated annotator reached, and with how many clicks."""
    return {
        "curve": figures.curve(images),
        "dice_curve": figures.curve(images, "dice"),
        "noc": {str(target): value for target, value in figures.noc(images).items()},
    }


def write_report(folder: CrossfitFolder, failed: Sequence[Done] = ()) -> None:
    """Write report.md and its plots.

    Parameters
    ----------
    folder : CrossfitFolder
        With the measured folds.
    failed : sequence of Done
        Stages with a problem.
    """
    folds, totals = _measured(folder), overview(folder)
    parts = [f"# Click training of {folder.spec.training.name} by cross-fitting", _summary(folder)]
    if failed:
        parts.append(_failures(failed))
    if totals is not None:
        plot_all(folder.path, folds, totals)
        parts += [
            "## All images",
            _whole(totals),
            "## By fold",
            "Image-wise: the mean over the fold's images (1 where mask and truth are empty).",
            _by_fold(folds, "imagewise"),
            "Pooled: the pixels of all of the fold's images together.",
            _by_fold(folds, "pooled"),
            "![Dice of each fold](folds.png)",
            "## With the clicks of a simulated annotator",
            _curve(totals),
            "![IoU after each click](clicks.png)",
            "## Are clicks obeyed?",
            _obedience(totals["obedience"]),
            "![Share of the clicks that are obeyed](obedience.png)",
        ]
    parts += ["## Time", _time(folder), *folder.messages()]
    parts.append("## Spec\n\n```json\n" + folder.spec.to_json() + "```")
    write_report_files(folder.report, "\n\n".join(parts) + "\n")


def _measured(folder: CrossfitFolder) -> dict[int, Images]:
    by_fold = {fold: folder.read_measured(fold) for fold in folder.folds}
    return {fold: known["images"] for fold, known in by_fold.items() if known is not None}


def _summary(folder: CrossfitFolder) -> str:
    spec, rows = folder.spec, folder.rows
    training = spec.training
    begin = "the baselines" if spec.begin == "baseline" else training.start
    added, gone = edited(folder)
    by_hand = ""
    if added or gone:
        by_hand = f" They were edited by hand: {added} added, {gone} taken away."
    groups = counted(len({row.group for row in rows}), "group")
    return (
        f"{counted(len(rows), 'image')} of {groups} in {len(folder.folds)} folds. "
        f"{counted(training.epochs, 'epoch')} of {training.windows} windows of {training.size} "
        f"pixels each; baselines started from {training.start}, click training from {begin}. The "
        "best epoch is chosen by images of the training part, never by those that are reported. "
        f"Clicks that were learned from: {spec.clicks}.{by_hand} All figures are of images that "
        "neither model was trained on."
    )


def _failures(failed: Sequence[Done]) -> str:
    lines = ["## What failed", ""]
    for done in failed:
        where = f" of fold {done.fold}" if done.fold else ""
        lines.append(f"- {done.stage}{where}: {done.problem}")
    return "\n".join([*lines, "", "The figures below are without these."])


def _whole(totals: Mapping[str, Any]) -> str:
    heads = (
        "IoU image-wise", "Dice image-wise", "IoU pooled", "Dice pooled",
        "images with IoU ≥ 0.9", "below 0.5",
    )  # fmt: skip
    keys = ("iou_imagewise", "dice_imagewise", "iou_pooled", "dice_pooled", "good", "bad")
    rows = []
    for kind, name in figures.KINDS.items():
        values = totals["all"][kind]
        shown = [f"{values[k]:.1%}" if k in ("good", "bad") else f"{values[k]:.3f}" for k in keys]
        rows.append([name, *shown])
    clicks = f"Generated clicks: {totals['generated_clicks']:.1f} an image on the average."
    return f"{markdown(['', *heads], rows)}\n\n{clicks}"


def _by_fold(folds: Mapping[int, Images], way: str) -> str:
    heads = ["fold", "images"]
    heads += [f"{figure}, {name}" for name in figures.KINDS.values() for figure in ("IoU", "Dice")]
    rows = []
    for fold, images in folds.items():
        sums = figures.summed_up(images)
        values = [sums[k][f"{f}_{way}"] for k in figures.KINDS for f in ("iou", "dice")]
        rows.append([str(fold), str(len(images)), *(f"{v:.3f}" for v in values)])
    return markdown(heads, rows)


def _curve(totals: Mapping[str, Any]) -> str:
    most = len(totals["curve"]) - 1
    shown = [n for n in (0, 1, 2, 3, 5, 10, 15, 20, 50) if n <= most]
    parts = {"all": totals}
    parts |= {f"fold {fold}": one for fold, one in totals["clicked_folds"].items()}
    reached = [
        [f"{part}, {name}", *(f"{one[key][n]:.3f}" for n in shown)]
        for part, one in parts.items()
        for key, name in (("curve", "IoU"), ("dice_curve", "Dice"))
    ]
    needed = [[part, *(f"{value:.2f}" for value in one["noc"].values())]
              for part, one in parts.items()]  # fmt: skip
    return "\n\n".join(
        [
            f"It clicks where the click-trained model is most wrong, up to {most} times on each "
            f"of {totals['images']} images, beginning with what is found without a click. Means "
            "over images, after so many clicks:",
            markdown(["clicks", *(str(n) for n in shown)], reached),
            f"Clicks needed to an IoU, where none counts 0, and {most} where that is not enough:",
            markdown(["images", *(f"{target} %" for target in totals["noc"])], needed),
        ]
    )


def _obedience(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = [
        "clicks", "baseline's confidence", "number", "obeyed", "of the region right",
        "wrong without clicks", "of these obeyed",
    ]  # fmt: skip
    lines = []
    for row in rows:
        whole = (row["low"], row["high"]) == (0.5, 1.0)
        sure = "any" if whole else f"{row['low']} to {row['high']}"
        shown = [
            "-" if row[k] is None else f"{row[k]:.1%}" for k in ("obeyed", "right", "obeyed_wrong")
        ]
        wrong = "-" if row["count_wrong"] is None else str(row["count_wrong"])
        lines.append([row["clicks"], sure, str(row["count"]), *shown[:2], wrong, shown[2]])
    return (
        "Of the generated clicks: a positive one is obeyed where at least half of the region that "
        "the baseline missed is found, a negative one where at least half of what it found too "
        "much is gone. Some of these regions the click-trained model gets right without a click; "
        "the last two columns count only the clicks on regions that it gets less than half right "
        "then, so that what is obeyed there was changed by the clicks.\n\n" + markdown(heads, lines)
    )


def _time(folder: CrossfitFolder) -> str:
    seconds = folder.seconds()
    rows = [
        [_STAGE_NAMES[stage], f"{seconds[stage] / 60:.1f}"]
        for stage in STAGES
        if stage in seconds and stage in _STAGE_NAMES
    ]
    return markdown(["stage, all folds together", "minutes"], rows)


def _publish(folder: CrossfitFolder) -> None:
    from napari_clickseg.models.checkpoint import load_network, save_model

    network, card = load_network(folder.final.model)
    totals = overview(folder)
    # Its own validation images were trained on.
    metrics = {k: v for k, v in card.metrics.items() if k != "validation"}
    if totals is not None:
        kept = ("images", "all", "curve", "noc", "generated_clicks")
        metrics["crossfit"] = {name: totals[name] for name in kept}
    inside = str(folder.path.resolve())
    data = tuple(source for source in card.data if not source.name.startswith(inside))
    card = card.model_copy(update={"metrics": metrics, "data": data})
    save_model(folder.model, network.state_dict(), card)
