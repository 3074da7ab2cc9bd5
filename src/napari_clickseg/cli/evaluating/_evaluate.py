"""`clickseg evaluate`: count the clicks that objects cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import (
    add_model_options,
    add_verb,
    count,
    identifier,
    note,
    positive_count,
    progress,
    say,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from napari_clickseg.evaluation.noc import NocSpec
    from napari_clickseg.evaluation.sweep import ImageResult, SegmenterFactory, Task


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "evaluate",
        run,
        "Count the clicks that objects cost, by the field's protocol.",
        "A DATASET is a folder with index.csv (columns image, mask, group), or with the folders "
        "images and masks. Images that are worked on at the same time slow each other down: "
        "--workers 1 gives the seconds per click.",
    )
    option = parser.add_argument
    option("datasets", nargs="+", type=Path, metavar="DATASET", help="folder of images and masks")
    option("--json", type=Path, metavar="F", help="write all figures to this file")
    option("--plot", type=Path, metavar="F.png", help="draw the IoU after each click")
    option("--overwrite", action="store_true", help="replace those files if they are there")
    option("--resume", type=Path, metavar="F", help="keep results in this file, and go on from it")
    option("--limit", type=count, default=0, metavar="N", help="the first N images of each set")
    number: dict[str, Any] = {"type": count, "metavar": "N"}
    option("--objects", **number, default=3, help="of an image; 0 takes all; default 3")
    option("--clicks", type=positive_count, default=20, metavar="N", help="at most; default 20")
    option("--seed", **number, default=0, help="draws objects, jitter and starting masks")
    option("--jitter", action="store_true", help="miss by 3 px at 512 px, three times over")
    option(
        "--first",
        choices=("click", "box", "scribble", "lasso"),
        default="click",
        help="what comes first on each object, with a hand's imprecision, three times over",
    )
    option(
        "--readings",
        type=positive_count,
        default=1,
        metavar="N",
        help="look at N objects that the first click may mean; each step to another is a click",
    )
    option("--from-mask", action="store_true", help="start from the truth made worse, IoU 0.6-0.8")
    option(
        "--ignore",
        type=identifier,
        default=255,
        metavar="ID",
        help="id of pixels that don't count, or none; default 255",
    )
    option("--workers", **number, default=0, help="images at a time; 0 goes by the cores")
    option("--scheduler", choices=("threads", "processes", "sync"), default="threads")
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.data.masks import check_free
    from napari_clickseg.evaluation.plots import check_plot, plot_clicks
    from napari_clickseg.evaluation.report import report, setbacks, table
    from napari_clickseg.evaluation.sweep import SweepError, list_tasks
    from napari_clickseg.models.checkpoint import read_card, sha256
    from napari_clickseg.models.registry import find_model

    if args.json is not None:
        check_free(args.json, overwrite=args.overwrite)
    if args.plot is not None:
        check_free(args.plot, overwrite=args.overwrite)
        check_plot(args.plot)
    path = find_model(args.model).path
    read_card(path)  # says what is wrong with a file that is no model
    checksum = sha256(path)
    spec = _spec(args)
    tasks = list_tasks(args.datasets, limit=args.limit)
    factory, workers = _factory(args)
    results = _results(args, factory, workers, tasks, spec, f"model {checksum}")
    left_out = [result for result in results if result.problem]
    for result in left_out:
        note(f"left out: {result.problem}")
    if left_out and len(left_out) == len(results):
        raise SweepError("No image could be used; mend them, or give others.")
    if not any(result.objects for result in results):
        raise SweepError(
            f"There is no object of {spec.least} pixels or more; 0 and {spec.ignore} do not "
            "count as objects (see --ignore)."
        )
    say(table(results))
    if line := setbacks(results):
        say(line)
    if args.json is not None:
        about = {"model": args.model, "sha256": checksum} | factory.running()
        about |= {"left_out": {result.key: result.problem for result in left_out}}
        figures = report(results, spec, **about)
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if args.plot is not None:
        plot_clicks(results, args.plot, title=f"model {args.model}")
    return 0


def _spec(args: argparse.Namespace) -> NocSpec:
    from napari_clickseg.evaluation.noc import JITTER_REPEATS, JITTER_SIGMA, NocSpec

    return NocSpec(
        clicks=args.clicks,
        objects=args.objects,
        ignore=args.ignore,
        jitter=JITTER_SIGMA if args.jitter else 0.0,
        repeats=JITTER_REPEATS if args.jitter or args.first != "click" else 1,
        first=args.first,
        readings=args.readings,
        from_mask=args.from_mask,
        seed=args.seed,
    )


def _factory(args: argparse.Namespace) -> tuple[SegmenterFactory, int]:
    """Return what loads the model, and how many images are worked on at a time."""
    from dask.system import CPU_COUNT

    from napari_clickseg.engine.devices import choose_device  # torch, only once all was found
    from napari_clickseg.evaluation.sweep import SegmenterFactory

    on_processor = choose_device(args.device).type == "cpu"
    workers = args.workers or (min(CPU_COUNT, 8) if on_processor else 1)
    return SegmenterFactory(args.model, args.device, max(1, CPU_COUNT // workers)), workers


def _results(
    args: argparse.Namespace,
    factory: SegmenterFactory,
    workers: int,
    tasks: Sequence[Task],
    spec: NocSpec,
    label: str,
) -> list[ImageResult]:
    from napari_clickseg.evaluation.sweep import sweep

    with progress(len(tasks), "image") as bar:
        return sweep(
            factory,
            tasks,
            spec,
            resume=args.resume,
            label=label,
            scheduler=args.scheduler,
            workers=workers,
            on_result=lambda _: bar.update(),
        )
