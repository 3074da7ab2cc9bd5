"""Whether a training helped: the models before and after it, on its validation images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_clickseg.core.instances.distances import object_parts
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.object_classes import read_mask
from napari_clickseg.engine.segmenter import Segmenter, load_segmenter
from napari_clickseg.evaluation.metrics import overlap
from napari_clickseg.evaluation.noc import JITTER_REPEATS, JITTER_SIGMA, NocSpec, evaluate_image
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.models.registry import find_model
from napari_clickseg.training.defaults import automatic
from napari_clickseg.training.selection import choose
from napari_clickseg.training.tables import read_table
from napari_clickseg.training.verdict import Measured, Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from napari_clickseg.data.project import Record
    from napari_clickseg.evaluation.metrics import Overlap
    from napari_clickseg.evaluation.noc import ObjectResult
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.training.loop.work import Validation
    from napari_clickseg.training.prepare import Prepared
    from napari_clickseg.training.run_folder import RunFolder

    Row = dict[str, Any]

_CLICKED = 12  # validation images that are clicked on, at the most
_EMPTY = 3  # further ones in which there is nothing, for models that need no click
_TARGETS = (85, 90)  # IoU, in percent
_FIGURES = (("IoU", "iou_macro"), ("Dice", "dice_macro"))
_OBJECT_FIGURES = (
    ("Panoptic quality", "pq"),
    ("AP at IoU 0.5", "ap_50"),
    ("AP, mean over IoU 0.5 to 0.9", "ap_mean"),
    ("F1 at IoU 0.5", "f1_50"),
    ("Splits", "splits"),
    ("Merges", "merges"),
    ("Panoptic quality of connected pieces", "pq_pieces"),
)
_NO_CLICKS = "none, as the model takes no clicks"
_OTHER_CLASSES = "the model that it started from finds other classes"


@dataclass(frozen=True, slots=True)
class Help:
    """What a training was good for.

    Parameters
    ----------
    table : list of dict
        Rows with "metric", "before" and "after"; None where a model can't do it, or finds other
        classes. Of a model that takes clicks, "NoC@85" is the number of clicks to an IoU of 0.85;
        of another one "note" says why there is none.
    measured : Measurement
        The same, object by object or image by image, to be judged.
    """

    table: list[Row]
    measured: Measurement


def did_it_help(
    prepared: Prepared,
    before: ModelCard | None,
    run: RunFolder,
    *,
    device: str = "auto",
    stop: Callable[[], bool] = lambda: False,
) -> Help:
    """Compare the model before and after the training on the validation images.

    Parameters
    ----------
    prepared : Prepared
        Which images and classes.
    before : ModelCard or None
        Of the model that was started from.
    device : str
        Where both run.
    stop : callable
        Asked between images; True leaves the rest out.
    """
    after = read_card(run.model)
    if prepared.spec.task != "click":
        return _task_help(prepared, before, after, run, device, stop)
    models = {
        "before": _clickable(prepared.spec.start, device) if before is not None else None,
        "after": load_segmenter(run.model, device),
    }
    seen = _seen(prepared)
    rows = _rows(
        {name: _without_click(model, prepared, seen, stop) for name, model in models.items()},
        {f"{figure} without a click": figure for figure in ("IoU", "Dice")},
    )
    rows = [row for row in rows if row["before"] is not None or row["after"] is not None]
    ignore, seed = prepared.classes.ignore, prepared.spec.seed
    ways = {
        "": (NocSpec(ignore=ignore, seed=seed), (1, 3, 5)),
        ", jittered clicks": (
            NocSpec(ignore=ignore, seed=seed, jitter=JITTER_SIGMA, repeats=JITTER_REPEATS),
            (1,),
        ),
    }
    measured = _measurement(prepared, "clicks", ())
    for suffix, (spec, after_clicks) in ways.items():
        by_model = {
            name: _clicked(model, prepared, seen.some, spec, stop) for name, model in models.items()
        }
        figures = {name: _summed(results, after_clicks) for name, results in by_model.items()}
        names = [f"NoC@{percent}" for percent in _TARGETS]
        names += [f"{what} {_after(n)}" for what in ("IoU", "Dice") for n in after_clicks]
        rows += _rows(figures, {f"{name}{suffix}": name for name in names})
        if not suffix:
            measured = _measured_clicks(prepared, by_model, seen.some, before, models["before"])
    return Help(rows, measured)


def _measurement(
    prepared: Prepared,
    of: Literal["clicks", "dice", "pq"],
    each: Sequence[Measured],
    why_alone: str = "",
    by_class: Sequence[tuple[str, float]] = (),
) -> Measurement:
    start = prepared.spec.start
    return Measurement(
        of,
        tuple(each),
        why_alone,
        tuple(by_class),
        "default" if start == "imagenet" else start,
        tuple(prepared.warnings),
    )


def _rows(figures: dict[str, dict[str, float]], names: dict[str, str]) -> list[Row]:
    """Return rows of the table, named as on the left, of the figures named as on the right."""
    return [
        {"metric": text, **{model: means.get(name) for model, means in figures.items()}}
        for text, name in names.items()
    ]


def _after(clicks: int) -> str:
    return "after a click" if clicks == 1 else f"after {clicks} clicks"


# ---- models that take no clicks


def _task_help(
    prepared: Prepared,
    before: ModelCard | None,
    after: ModelCard,
    run: RunFolder,
    device: str,
    stop: Callable[[], bool],
) -> Help:
    """Compare task models: the best epoch's figures with those of the start."""
    metrics: dict[str, dict[str, float]] = {
        "before": {},
        "after": after.metrics.get("validation", {}),
    }
    of: Literal["pq", "dice"] = "pq" if prepared.spec.task == "instances" else "dice"
    known_before: dict[str, float] = {}
    if before is not None and _finds_the_same(before, after) and not stop():
        start = _start_measured(prepared, device)
        metrics["before"] = start.metrics
        known_before = {str(row["image"]): float(row[of]) for row in start.images}
    figures = _OBJECT_FIGURES if of == "pq" else _FIGURES
    names = {text: name for text, name in figures if name in metrics["after"]}
    targets = ", ".join(f"NoC@{percent}" for percent in _TARGETS)
    none = {"metric": targets, "before": None, "after": None, "note": _NO_CLICKS}
    groups = {record.name: record.group for record in prepared.validation.records}
    each = [
        Measured(row["image"], float(row[of]), known_before.get(row["image"]), groups[row["image"]])
        for row in read_table(run.path / "images.csv")
        if row["image"] in groups  # those of the best epoch; one may have been taken out since
    ]
    by_class = [(name, metrics["after"].get(f"{of}_{name}")) for name in after.classes]
    known = [(name, value) for name, value in by_class if value is not None]
    why = "it started from scratch" if before is None else _OTHER_CLASSES
    measured = _measurement(prepared, of, each, why, known)
    return Help([*_rows(metrics, names), none], measured)


def _finds_the_same(before: ModelCard, after: ModelCard) -> bool:
    """Whether the start is a task model of the same classes, or tells the same objects apart."""
    same = (before.classes, before.class_ids) == (after.classes, after.class_ids)
    apart = (before.objects is None) == (after.objects is None)
    return before.encoding == "image" and same and apart


def _start_measured(prepared: Prepared, device: str) -> Validation:
    from napari_clickseg.training.classes.task import measured
    from napari_clickseg.training.instances.object_samples import object_dataset
    from napari_clickseg.training.instances.scoring import measured_objects

    spec = prepared.spec
    segmenter = load_segmenter(spec.start, device, half=spec.amp)
    if spec.task == "instances":
        by_class = spec.scheme == "classes"
        held = object_dataset(prepared.validation, prepared.classes, by_class=by_class)
        return measured_objects(segmenter, held)
    return measured(segmenter, prepared.validation, prepared.classes)


# ---- models that take clicks


@dataclass(frozen=True, slots=True)
class _Seen:
    """Validation images that hold an object, and some that hold none."""

    some: tuple[Record, ...]
    empty: tuple[Record, ...]


def _clickable(start: str, device: str) -> Segmenter | None:
    """Return the model that was started from, if it takes clicks."""
    name = "default" if start == "imagenet" else start
    if read_card(find_model(name).path).encoding == "image":
        return None
    return load_segmenter(name, device)


def _seen(prepared: Prepared) -> _Seen:
    """Choose the images that are looked at."""
    records, ignore = prepared.validation.records, prepared.classes.ignore
    empties, least = _EMPTY if automatic(prepared.spec) else 0, NocSpec().least

    def holds(index: int) -> bool:
        ids, counts = np.unique(_truth(records[index], prepared), return_counts=True)
        there = zip(ids.tolist(), counts.tolist(), strict=True)
        return any(i not in (0, ignore) and n >= least for i, n in there)

    some, empty = choose(len(records), holds, _CLICKED, empties=empties)
    return _Seen(tuple(records[i] for i in some), tuple(records[i] for i in empty[:empties]))


def _clicked(
    segmenter: Segmenter | None,
    prepared: Prepared,
    records: Sequence[Record],
    spec: NocSpec,
    stop: Callable[[], bool],
) -> list[tuple[str, ObjectResult]]:
    """Return what clicking on objects gave, each with its image's name."""
    results: list[tuple[str, ObjectResult]] = []
    for record in records if segmenter is not None else ():
        if stop():
            break
        assert segmenter is not None
        image = read_plane(record.image).read_all()
        objects = evaluate_image(segmenter, image, _truth(record, prepared), spec, record.name)
        results += [(record.name, one) for one in objects]
    return results


def _measured_clicks(
    prepared: Prepared,
    by_model: Mapping[str, Sequence[tuple[str, ObjectResult]]],
    records: Sequence[Record],
    before: ModelCard | None,
    started: Segmenter | None,
) -> Measurement:
    """Return the clicks on each object; where both models clicked, on what both came to."""
    clicks = {
        model: {(name, one.identifier): float(one.noc(0.85)) for name, one in results}
        for model, results in by_model.items()
    }
    then = clicks["before"]
    groups = {record.name: record.group for record in records}
    kinds = {record.name: _kinds(record, prepared) for record in records}
    each = [
        Measured(name, now, then.get((name, i)), groups[name], kinds[name].get(i, ""))
        for (name, i), now in clicks["after"].items()
        if started is None or (name, i) in then  # else it was stopped in between
    ]
    why = "it started from scratch"
    if before is not None:
        why = "the model that it started from takes no clicks"
    return _measurement(prepared, "clicks", each, why)


def _kinds(record: Record, prepared: Prepared) -> dict[int, str]:
    """Return the classes of the objects that are clicked on, where objects have some."""
    if prepared.spec.scheme != "classes" or automatic(prepared.spec):
        return {}
    truth, labels = _truth(record, prepared), read_mask(record)
    ids, first = np.unique(truth, return_index=True)
    classes = labels.ravel()[first]
    name = prepared.findings.class_name
    return {int(i): name(int(k)) for i, k in zip(ids, classes, strict=True)}


def _summed(clicked: Sequence[tuple[str, ObjectResult]], after: Sequence[int]) -> dict[str, float]:
    if not clicked:
        return {}
    results = [one for _, one in clicked]
    figures = {
        f"NoC@{percent}": float(np.mean([r.noc(percent / 100) for r in results]))
        for percent in _TARGETS
    }
    for n in after:
        ious = np.array([r.ious[n - 1] for r in results])
        figures[f"IoU {_after(n)}"] = float(ious.mean())
        figures[f"Dice {_after(n)}"] = float((2 * ious / (1 + ious)).mean())
    return figures


def _without_click(
    segmenter: Segmenter | None, prepared: Prepared, seen: _Seen, stop: Callable[[], bool]
) -> dict[str, float]:
    """Return the means over images of what is found without a click, if the model does that."""
    if segmenter is None or not segmenter.card.automatic:
        return {}
    overlaps: list[Overlap] = []
    ignore = prepared.classes.ignore
    for record in (*seen.some, *seen.empty):
        if stop():
            break
        truth = _truth(record, prepared)
        unknown = np.asarray(truth == ignore) if ignore is not None else None
        if record.complete is False:  # what is not labelled is unknown
            unlabelled = np.asarray(read_mask(record) == 0)
            unknown = unlabelled if unknown is None else unknown | unlabelled
        plane = read_plane(record.image)
        mask = segmenter.start(plane.read_all(), rgb=plane.rgb).predict().mask
        overlaps.append(overlap(mask, np.asarray(truth != 0), unknown))
    if not overlaps:
        return {}
    return {
        "IoU": float(np.mean([one.iou for one in overlaps])),
        "Dice": float(np.mean([one.dice for one in overlaps])),
    }


def _truth(record: Record, prepared: Prepared) -> npt.NDArray[Any]:
    """Return the ids that are clicked on: what is not learned is background.

    What a model finds without a click is one thing.
    """
    labels, spec, ignore = read_mask(record), prepared.spec, prepared.classes.ignore
    kept = np.isin(labels, spec.classes) if spec.classes else labels > 0
    objects = np.where(kept & (labels != ignore), labels, 0).astype(np.int64)
    if automatic(spec):
        objects = (objects > 0).astype(np.int64)
    elif spec.scheme == "classes":
        objects = object_parts(objects).astype(np.int64)
    if ignore is not None:
        objects[objects == ignore] = objects.max() + 1
        objects[labels == ignore] = ignore
    return objects
