"""`clickseg clean`: clean up a prediction that is there, without the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import (
    STOPPED,
    add_verb,
    count,
    note,
    progress,
    say,
    say_json,
    shown_on,
)
from napari_clickseg.runs.conduct import conducted

if TYPE_CHECKING:
    import argparse


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "clean",
        run,
        "Clean up a prediction: smooth edges, fill holes, drop small pieces, in this order. It "
        "takes no model and no new run.",
        "What the model found is kept beside it: other options begin from there, and no option at "
        "all brings it back. docs/slides.md says what each one does.",
    )
    option = parser.add_argument
    option(
        "labels",
        type=Path,
        metavar="LABELS",
        help="X.zarr as clickseg predict writes it, or a file in a project's predictions",
    )
    option("--smooth", type=count, default=0, metavar="R", help="radius in pixels, 0 to 10")
    option(
        "--fill-holes", type=count, default=0, metavar="N", help="holes of fewer pixels, to 4096"
    )
    option("--smallest", type=count, default=0, metavar="N", help="drop pieces of fewer pixels")
    option("--json", action="store_true", help="print what changed as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.core.cleanup import CleanUp
    from napari_clickseg.engine.slides.cleaning import CleanUpError, clean_up

    try:
        rules = CleanUp(args.smooth, args.fill_holes, args.smallest)
    except ValueError as error:
        raise CleanUpError(str(error)) from error
    with conducted(None) as stop, progress(0, "part") as bar:
        cleaned = clean_up(args.labels, rules, stop=stop, on_part=shown_on(bar))
    if cleaned is None:
        note("stopped; nothing was changed")
        return STOPPED
    if args.json:
        say_json({"labels": str(args.labels), "changed": cleaned.changed, "ids": cleaned.ids})
    elif rules:
        ids = f"{cleaned.ids:,} id{'' if cleaned.ids == 1 else 's'}"
        say(f"{args.labels}: {cleaned.changed:,} pixels cleaned up, {ids} left")
    else:
        say(f"{args.labels}: as it was found")
    return 0
