"""`clickseg predict --rest`: predict the images of a project that are not annotated."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli import _gestures
from napari_clickseg.cli._common import (
    STOPPED,
    WRONG,
    UsageError,
    count,
    note,
    positive_count,
    progress,
    say,
    say_json,
)
from napari_clickseg.runs.conduct import conducted
from napari_clickseg.runs.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.engine.automatic import BatchResult


_WHY = "--rest predicts whole images of a project"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what goes with --rest."""
    option = parser.add_argument
    option("--rest", action="store_true", help="predict all images of a project without a mask")
    option("--limit", type=count, default=0, metavar="N", help="with --rest: at the most N images")
    option(
        "--workers",
        type=positive_count,
        default=1,
        metavar="N",
        help="with --rest: images at the same time",
    )
    option(
        "--shard",
        type=shard,
        metavar="I/N",
        help="with --rest: the I-th of N shares of the images, from 1, for jobs side by side",
    )
    option(
        "--scheduler",
        default="",
        metavar="ADDRESS",
        help="with --rest: of a dask.distributed cluster, whose workers see the same files",
    )
    option(
        "--events",
        type=Path,
        metavar="FOLDER",
        help="with --rest: write there what happens, a line of JSON for each event in "
        "events.jsonl; a file called stop in it ends the work after the present image",
    )


def shard(text: str) -> tuple[int, int]:
    """Read which share of how many is meant."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no share such as 3/8, the third of eight; the first is 1/8"
        )
    return int(number), int(of)


def given(args: argparse.Namespace) -> bool:
    """Whether something was asked for that goes with --rest alone."""
    several = args.workers > 1 or args.shard is not None or bool(args.scheduler)
    return bool(args.limit) or several or args.events is not None


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    _check(args)
    log = _log(args.events)
    tell = log.add if log is not None else _nobody
    with conducted(log) as stop:
        if log is not None:
            log.begin()
        result = _predict(args, tell, stop)
        tell(
            "finished",
            reason="stopped" if result.stopped else "done",
            predicted=len(result.predicted),
            problems=list(result.problems.values()),
        )
    from napari_clickseg.data.review import ReviewQueue

    for problem in result.problems.values():
        note(f"skipped: {problem}")
    for name, notice in result.notices.items():
        note(f"{name}: {notice}")
    _say(args, result, len(ReviewQueue(args.image).waiting()))
    if result.stopped:
        return STOPPED
    return WRONG if result.problems and not result.predicted else 0


def _log(folder: Path | None) -> EventLog | None:
    """Return where events are written, as of a training."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return EventLog(folder)


def _nobody(event: str, **values: object) -> None:
    """Tell nobody."""


def _predict(
    args: argparse.Namespace, tell: Callable[..., object], stop: Callable[[], bool]
) -> BatchResult:
    from napari_clickseg.engine.automatic import predict_rest

    with progress(0, "image") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            tell("image", done=done, total=total)

        return predict_rest(
            args.image,
            args.model,
            device=args.device,
            limit=args.limit,
            overwrite=args.overwrite,
            workers=args.workers,
            shard=args.shard or (1, 1),
            scheduler=args.scheduler,
            stop=stop,
            on_image=show,
        )


def _check(args: argparse.Namespace) -> None:
    _gestures.refuse(args.gestures, _WHY)
    useless = {
        "--out": args.out,
        "--probability": args.probability,
        "--mask": args.mask,
        "--plane": args.plane,
        "--channel": args.channel,
        "--threshold": args.threshold != 0.5,
        "--reading": args.reading,
        "--seed-height": args.seed_height is not None,
        "--smallest": args.smallest is not None,
        "--region": args.region is not None,
    }
    wrong = [name for name, value in useless.items() if value]
    if wrong:
        raise UsageError(f"{_WHY}; leave {wrong[0]} out.")
    if args.scheduler and args.workers > 1:
        raise UsageError("The workers are the scheduler's; leave --workers out.")


def _say(args: argparse.Namespace, result: BatchResult, waiting: int) -> None:
    left = result.total - len(result.predicted) - len(result.problems)
    if not args.json:
        again = "; stopped, the same command goes on" if result.stopped else ""
        say(f"{args.image}: {len(result.predicted)} predicted, {waiting} to review{again}")
        return
    report: dict[str, Any] = {
        "project": str(args.image),
        "model": args.model,
        "sha256": result.model,
        "predicted": result.predicted,
        "skipped": result.problems,
        "notices": result.notices,
        "kept": result.kept,
        "left": left,
        "waiting": waiting,
        "stopped": result.stopped,
    }
    say_json(report)
