"""What fine-tuning saves while a project is annotated: clicks, image by image.

    python benchmarks/annotation_loop.py PROJECT... --out FOLDER [--limit N] [--every K]
        [--target 0.9] [--id N] [--seed S] [--classical GrabCut] [--set key=value ...]

The simulated annotator brings the foreground of each image (all ids, or one) to an IoU of 0.9:

- *default*: the default model, from nothing, one connected piece after the other, the largest
  first, until the foreground as a whole is right;
- *adapted*: the same, until the first images are annotated. After every K images a click model is
  fine-tuned on what was accepted (the annotator's masks, not the truth), and each next image begins
  with what it finds without a click, which clicks then correct. To mark an image as empty that the
  model sees something in costs one click;
- a classical method of `benchmarks/compare.py`, as the default model, if asked for.

An image on which 20 clicks for each piece do not do costs these, and is kept as it is then. Images
come in an order that is drawn with the seed. Prints the cumulative clicks, and the share saved over
the second half; FOLDER keeps the runs and `loop-NAME.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_clickseg.cli._train import read_settings
from napari_clickseg.core.oracle import next_click
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import Record, read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.engine.segmenter import Segmenter, load_segmenter
from napari_clickseg.evaluation.metrics import iou
from napari_clickseg.training.finetune import finetune
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from napari_clickseg.evaluation.noc import ClickPredictor, ClickSession

Bool = npt.NDArray[np.bool_]
MOST = 20  # clicks on a piece
LEAST = 64  # pixels of a piece that is clicked on for itself
CLASSES = ProjectClasses(scheme="classes", classes=(ProjectClass(id=1, name="foreground"),))


@dataclass(frozen=True)
class Cost:
    """Clicks that an image cost by each method, and the IoU that they came to."""

    image: str
    clicks: dict[str, int]
    iou: dict[str, float]
    begun: float | None = None  # IoU of what the adapted model found without a click


def clicked(session: ClickSession, mask: Bool, truth: Bool, target: float, most: int) -> Any:
    """Click until the IoU is the target, in a session that has begun; return mask and clicks."""
    clicks: list[Any] = []
    while iou(mask, truth) < target and len(clicks) < most:
        click = next_click(mask, truth, clicks)
        if click is None:
            break
        session.click(click.y, click.x, click.positive)
        clicks.append(click)
        mask = session.predict().mask
    return mask, len(clicks)


def pieces(truth: Bool) -> list[Bool]:
    """Return the connected pieces of a foreground, the largest first."""
    labels, count = ndimage.label(truth, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = [int(i) + 1 for i in np.argsort(-areas, kind="stable") if areas[i] >= LEAST]
    return [labels == i for i in order or range(1, min(count, 1) + 1)]


def from_nothing(
    predictor: ClickPredictor, image: npt.NDArray[Any], truth: Bool, target: float
) -> tuple[Bool, int]:
    """Annotate an image piece by piece; return what was accepted, and the clicks."""
    session, mask, clicks = predictor.start(image), np.zeros(truth.shape, bool), 0
    for piece in pieces(truth):
        if iou(mask, truth) >= target:
            break
        session.start_from(None)
        annotated, used = clicked(session, np.zeros(truth.shape, bool), piece, target, MOST)
        mask, clicks = mask | annotated, clicks + used
    return mask, clicks


def from_prediction(
    model: Segmenter, image: npt.NDArray[Any], truth: Bool, target: float
) -> tuple[Bool, int, float]:
    """Correct what a model finds without a click; return mask, clicks, and the IoU before."""
    session = model.start(image)
    predicted = session.predict().mask
    begun = iou(predicted, truth)
    if not truth.any():
        return truth, int(predicted.any()), begun
    mask, clicks = clicked(session, predicted, truth, target, MOST * len(pieces(truth)))
    return mask, clicks, begun


def adapt(folder: Path, number: int, fields: dict[str, Any]) -> Segmenter | None:
    """Fine-tune the default model on what was annotated; None where that can't be done yet."""
    known = {"task": "click", "scheme": "classes", "classes": (1,), "name": f"after-{number}"}
    spec = TrainingSpec.model_validate({"project": str(folder / "project")} | known | fields)
    run = folder / f"run-{number}"
    try:
        outcome = finetune(spec, run, compare=False)
    except ValueError as error:
        print(f"after {number} images: {error}", file=sys.stderr)
        return None
    print(f"after {number} images: {outcome}", file=sys.stderr, flush=True)
    return load_segmenter(run / "best.safetensors", spec.device)


def loop(
    records: list[Record],
    folder: Path,
    args: argparse.Namespace,
    others: dict[str, ClickPredictor],
) -> list[Cost]:
    """Annotate image by image."""
    default = load_segmenter("default", args.device)
    writer = ProjectWriter(folder / "project")
    model: Segmenter | None = None
    writer.set_classes(CLASSES)
    fields = {"device": args.device, "seed": args.seed} | read_settings(args.set)
    costs: list[Cost] = []
    for number, record in enumerate(records, 1):
        image, labels = read_plane(record.image).read_all(), read_labels(record.mask)
        truth = labels == args.id if args.id else labels > 0
        annotated = {"default": from_nothing(default, image, truth, args.target)}
        begun = None
        if model is None:
            annotated["adapted"] = annotated["default"]
        else:
            mask, used, begun = from_prediction(model, image, truth, args.target)
            annotated["adapted"] = (mask, used)
        for name, predictor in others.items():
            annotated[name] = from_nothing(predictor, image, truth, args.target)
        writer.add(
            f"{number:04d}", image, annotated["adapted"][0], group=record.group, really_empty=True
        )
        clicks = {name: used for name, (_, used) in annotated.items()}
        ious = {name: round(iou(mask, truth), 4) for name, (mask, _) in annotated.items()}
        costs.append(Cost(record.name, clicks, ious, begun))
        print(f"{number}/{len(records)} {record.name} {clicks}", file=sys.stderr, flush=True)
        if number % args.every == 0 and number < len(records):
            model = adapt(folder, number, fields) or model
    return costs


def saved(costs: list[Cost], name: str) -> float:
    """Return the share of a method's clicks that the adapted model saves in the second half."""
    half = costs[len(costs) // 2 :]
    theirs = sum(cost.clicks[name] for cost in half)
    return 1 - sum(cost.clicks["adapted"] for cost in half) / theirs if theirs else 0.0


def say(name: str, costs: list[Cost], args: argparse.Namespace) -> None:
    """Print cumulative clicks, and what was saved."""
    methods = list(costs[0].clicks)
    print(f"\n{name}, {len(costs)} images to an IoU of {args.target}, every {args.every}\n")
    print(f"| images | {' | '.join(methods)} |\n|--:{'|--:' * len(methods)}|")
    steps = sorted({round(n) for n in np.linspace(1, len(costs), min(len(costs), 10))})
    for n in steps:
        sums = (sum(cost.clicks[m] for cost in costs[:n]) for m in methods)
        print(f"| {n} | {' | '.join(map(str, sums))} |")
    reached = (np.mean([cost.iou[m] >= args.target for cost in costs]) for m in methods)
    print(f"| reached | {' | '.join(f'{share:.0%}' for share in reached)} |\n")
    for method in methods:
        if method != "adapted":
            print(f"saved over the second half against {method}: {saved(costs, method):.0%}")


def chosen(project: Path, args: argparse.Namespace) -> list[Record]:
    """Draw the images and their order."""
    records = read_project(project).records
    order = np.random.default_rng(args.seed).permutation(len(records))
    return [records[i] for i in order[: args.limit or None]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("projects", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=24, help="images of each project; 0: all")
    parser.add_argument("--every", type=int, default=4, help="images between two trainings")
    parser.add_argument("--target", type=float, default=0.9)
    parser.add_argument("--id", type=int, default=0, help="of the masks; 0: all are foreground")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--classical", nargs="*", default=[], help="methods of compare.py")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    others: dict[str, ClickPredictor] = {}
    if args.classical:
        from compare import METHODS, Windowed  # needs OpenCV

        others = {name: Windowed(METHODS[name]) for name in args.classical}
    for project in args.projects:
        name = project.resolve().name
        folder = args.out / name
        folder.mkdir(parents=True)
        costs = loop(chosen(project, args), folder, args, others)
        say(name, costs, args)
        settings = {key: str(value) for key, value in vars(args).items()}
        summary = {"settings": settings, "costs": [asdict(cost) for cost in costs]}
        summary["saved"] = {m: saved(costs, m) for m in costs[0].clicks if m != "adapted"}
        (args.out / f"loop-{name}.json").write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
