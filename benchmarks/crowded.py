"""How well objects that touch are told apart: by a model, as connected pieces, and classically.

    python -m benchmarks.crowded [PROJECT ...] --out FOLDER [--crowds N] [--train N [N ...]]
        [--test N] [--seed S] [--fluorescence] [--set key=value ...]

Each PROJECT (a folder or table whose ids are objects, or classes) is split by group: images to test
on, half of all at the most, and for each N of `--train` the first N of the others to train and
validate on, drawn with the seed. So the test is the same one however many were annotated. `--crowds
N` makes a project of N images of touching ellipses whose truth is known, to begin with.
`--fluorescence` leaves out images that have colours, or objects darker than the rest: of a set of
all kinds those that are like one user's. On the test images are measured

- *model*: a model of the task instances, trained on the N images;
- *pieces*: connected pieces of the same model's foreground, as one has them without it;
- *classical*: Otsu's threshold, brighter or darker as fits the training images, and a watershed of
  the distance to the background, by scikit-image.

Of the model's scores it is measured how often a right object has a higher one than a wrong one.
Times are those of the clock: the training with its validation, and finding an image's objects.
Prints a Markdown table; FOLDER keeps the runs, the tables and `crowded.json`. A training that was
stopped goes on, and one that is there is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.stats import mannwhitneyu
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from default_model.crowds import crowd
from napari_clickseg.cli._train import read_settings
from napari_clickseg.core.instances.separating import without_small
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.object_masks import ObjectMask, read_object_mask
from napari_clickseg.data.project import Project, Record, read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.engine.finding import ObjectFinder, card_rules
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.evaluation.matching import Matching, match, matching_figures
from napari_clickseg.training.finetune import finetune, resume
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.spec import TrainingSpec

Labels = npt.NDArray[Any]
EIGHT = np.ones((3, 3), bool)
SHOWN = ("ap_50", "ap_mean", "pq", "splits", "merges")
WAYS = ("model", "pieces", "classical")
_SAID = {None: "", True: "yes", False: "no"}


def make_crowds(folder: Path, count: int, seed: int) -> Path:
    """Write a project of blurred, noisy crowds; each object has a brightness of its own."""
    writer = ProjectWriter(folder)
    writer.set_classes(ProjectClasses(scheme="instances"))
    for i in range(count):
        labels = crowd(1000 * seed + i, 256, 400)
        rng = np.random.default_rng([seed, i])
        bright = np.append(0, rng.uniform(90, 200, labels.max()))[labels]
        image = 20 + ndimage.gaussian_filter(bright, 1.2) + rng.normal(0, 12, labels.shape)
        writer.add(f"{i}", image.clip(0, 255).astype(np.uint8), labels, group=f"{i}")
    return folder


def is_fluorescence(record: Record) -> bool:
    """Whether an image is grey, and its objects are brighter than the rest."""
    image, mask = read_plane(record.image).read_all(), read_object_mask(record, by_class=False)
    coloured = image.ndim == 3 and int(np.ptp(image[..., :3].astype(int), axis=2).max()) > 8
    grey, inside = image.mean(axis=2) if image.ndim == 3 else image, mask.objects > 0
    return not coloured and bool(grey[inside].mean() > grey[~inside].mean())


def split(project: Project, test: int, seed: int) -> tuple[list[Record], list[Record]]:
    """Draw images to learn from, in the order in which they are annotated, and others to test on.

    No group is on both sides; of those that are learned from each gives an image in its turn.
    """
    groups: dict[str, list[Record]] = {}
    for record in project.records:
        groups.setdefault(record.group, []).append(record)
    names = [str(one) for one in np.random.default_rng(seed).permutation(sorted(groups))]
    wanted, held = min(test, len(project.records) // 2), list[str]()
    for name in names:
        if sum(len(groups[one]) for one in (*held, name)) <= wanted:
            held.append(name)
    held = held or [min(names, key=lambda name: len(groups[name]))]  # all of them are larger
    tested = [record for name in held for record in groups[name]][:wanted]
    turns = zip_longest(*(groups[name] for name in names if name not in held))
    return [record for turn in turns for record in turn if record is not None], tested


def write_table(path: Path, records: list[Record], test: list[Record], project: Project) -> Path:
    """Write a table of images, and what their ids mean beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ["image,mask,group,split,complete"]
    for some, word in ((records, ""), (test, "test")):
        rows += [
            f"{r.image.resolve()},{r.mask.resolve()},{r.group},{word},{_SAID[r.complete]}"
            for r in some
        ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    if project.classes is not None:
        path.with_name("classes.json").write_text(project.classes.model_dump_json())
    return path


def classical(image: Labels, dark: bool, smallest: int, apart: int) -> Labels:
    """Return Otsu's foreground cut up by a watershed of its distance to the background.

    Objects are the dark part, if they are; they have `smallest` pixels or more, and their middles
    are `apart` pixels away from each other.
    """
    grey = image.mean(axis=2) if image.ndim == 3 else image.astype(float)
    grey = ndimage.gaussian_filter(grey, 1)
    inside = (grey < threshold_otsu(grey)) if dark else (grey > threshold_otsu(grey))
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), 1)
    parts, _ = ndimage.label(inside, EIGHT)
    peaks = peak_local_max(distance, min_distance=apart, labels=parts, exclude_border=False)
    seeds = np.zeros(inside.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return without_small(watershed(-distance, seeds, mask=inside), smallest)


def learned(records: list[Record], by_class: bool) -> tuple[bool, int]:
    """Return whether objects are darker than the rest, and half the width of a usual one."""
    darker, widths = [], []
    for record in records:
        image, mask = (
            read_plane(record.image).read_all(),
            read_object_mask(record, by_class=by_class),
        )
        grey = image.mean(axis=2) if image.ndim == 3 else image
        inside = mask.objects > 0
        darker.append(bool(grey[inside].mean() < grey[~inside].mean()))
        widths += list(np.sqrt(np.bincount(mask.objects.ravel())[1:] / np.pi))
    return sum(darker) > len(darker) / 2, max(1, round(float(np.median(widths)) / 2))


def measure(run: Path, train: list[Record], test: list[Record]) -> dict[str, dict[str, float]]:
    """Measure each way on the test images."""
    segmenter = load_segmenter(run / "best.safetensors")
    rules = card_rules(segmenter.card)
    by_class = segmenter.card.training["spec"]["scheme"] == "classes"
    dark, apart = learned(train, by_class)
    matchings: dict[str, list[Matching]] = {way: [] for way in WAYS}
    spent = dict.fromkeys(WAYS, 0.0)
    scores, right = [], []
    for record in test:
        plane, truth = read_plane(record.image), read_object_mask(record, by_class=by_class)
        image = plane.read_all()
        began = time.perf_counter()
        mine = ObjectFinder.of(segmenter, image, rgb=plane.rgb).find(with_probability=True)
        looked = time.perf_counter()
        assert mine is not None and mine.probability is not None
        scores.append(mine.scores)
        right.append(matched(mine.labels, truth.objects))
        pieces = without_small(
            ndimage.label(mine.probability > rules.foreground, EIGHT)[0], rules.smallest
        )
        cut = time.perf_counter()
        classic = classical(image, dark, rules.smallest, apart)
        times = (looked - began, cut - began, time.perf_counter() - cut)
        for way, labels, seconds in zip(WAYS, (mine.labels, pieces, classic), times, strict=True):
            matchings[way].append(_matched(labels, truth))
            spent[way] += seconds
    figures = {way: matching_figures(images) for way, images in matchings.items()}
    for way in WAYS:
        figures[way]["seconds"] = spent[way] / len(test)
    figures["model"]["ranked"] = ranked(np.concatenate(scores), np.concatenate(right))
    return figures


def matched(labels: Labels, truth: Labels) -> npt.NDArray[np.bool_]:
    """Return of each object found whether it matches a true one at an IoU of 0.5, bool (n,)."""
    count = int(truth.max(initial=0)) + 1
    pairs, shared = np.unique(labels.ravel() * count + truth.ravel(), return_counts=True)
    mine, there = np.divmod(pairs, count)
    union = np.bincount(labels.ravel())[mine] + np.bincount(truth.ravel())[there] - shared
    good = mine[(mine > 0) & (there > 0) & (2 * shared > union)]
    return np.isin(np.arange(1, labels.max(initial=0) + 1), good)


def ranked(scores: npt.NDArray[Any], right: npt.NDArray[np.bool_]) -> float:
    """Return how often a right object has a higher score than a wrong one (area under the ROC)."""
    if right.all() or not right.any():
        return float("nan")
    u = mannwhitneyu(scores[right], scores[~right]).statistic
    return float(u / (right.sum() * (~right).sum()))


def _matched(labels: Labels, truth: ObjectMask) -> Matching:
    return match(labels, truth.objects, truth.unknown)


def trained(table: Path, run: RunFolder, settings: dict[str, Any]) -> float:
    """Train, or go on, unless it is done; return the seconds by the clock, validation included."""
    if run.state == "new":
        spec = TrainingSpec.model_validate({"project": str(table), "task": "instances"} | settings)
        finetune(spec, run.path, on_event=_say, compare=False)
    elif run.state != "finished":
        resume(run.path, on_event=_say, compare=False)
    epochs = [one for one in run.events()[0] if one["event"] == "epoch"]
    return sum({one["epoch"]: float(one["seconds"]) for one in epochs}.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("projects", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--crowds", type=int, default=0)
    parser.add_argument("--train", type=int, nargs="+", default=[10], help="annotated images")
    parser.add_argument("--test", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fluorescence", action="store_true")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    args = parser.parse_args()
    settings = read_settings(args.settings)
    projects = list(args.projects)
    if args.crowds:
        made = args.out / "crowds"
        projects.insert(0, made if made.is_dir() else make_crowds(made, args.crowds, args.seed))
    results: dict[str, dict[str, Any]] = {}
    for source in projects:
        project = read_project(source)
        if args.fluorescence and source.name != "crowds":
            kept = tuple(record for record in project.records if is_fluorescence(record))
            project = replace(project, records=kept)
        every, test = split(project, args.test, args.seed)
        for count in args.train:
            if count > len(every):
                print(f"{source.stem}: {len(every)} images to learn from, so none of {count}.")
                continue
            name = f"{source.stem}-{count}"
            table = write_table(args.out / name / "images.csv", every[:count], test, project)
            run = RunFolder(args.out / name / "run")
            print(f"{name}: tested on {len(test)} images", flush=True)
            seconds = trained(table, run, settings)
            results[name] = {"train": count, "test": len(test), "training_seconds": seconds}
            results[name] |= measure(run.path, every[:count], test)
            text = json.dumps(results, indent=1)
            (args.out / "crowded.json").write_text(text, encoding="utf-8")
    print(_table(results))


def _say(event: dict[str, Any]) -> None:
    if event["event"] == "epoch":
        print(
            f"epoch {event['epoch']}: pq {event['metrics'].get('pq', float('nan')):.3f}", flush=True
        )


def _table(results: dict[str, dict[str, Any]]) -> str:
    heads = [*SHOWN, "s an image", "min of training"]
    lines = [f"| set, annotated, tested on | way | {' | '.join(heads)} |"]
    lines.append(f"|---|---|{'--:|' * len(heads)}")
    for name, one in results.items():
        for way in WAYS:
            figures = [f"{one[way][figure]:.3f}" for figure in SHOWN]
            figures.append(f"{one[way]['seconds']:.2f}")
            figures.append("" if way == "classical" else f"{one['training_seconds'] / 60:.1f}")
            of = f"{name.rsplit('-', 1)[0]}, {one['train']}, {one['test']}"
            lines.append(f"| {of} | {way} | {' | '.join(figures)} |")
    lines += ["", "Right objects with a higher score than wrong ones:"]
    lines += [f"- {name}: {one['model']['ranked']:.2f}" for name, one in results.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
