"""`clickseg report`: pictures of a project or a run, for papers and talks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import (
    UsageError,
    Waiting,
    add_verb,
    count,
    note,
    positive_count,
    progress,
    say,
    shown_on,
)

if TYPE_CHECKING:
    import argparse

_CLICKS, _FPS = 3, 4.0


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "report",
        run,
        "Draw what was found beside what is there: pictures, and animations of stacks.",
        "Of a run: its validation images, and what its model finds. Of a project: its predictions, "
        "or with --model what that finds. A model that needs clicks gets them from a simulated "
        "annotator. Blue is right, vermilion was found and is not there, yellow is there and was "
        "not found. Images of one group, as planes of one stack are, become an animation.",
    )
    option = parser.add_argument
    option("source", type=Path, metavar="PROJECT|RUN", help="its folder, or a run's name")
    option("--out", type=Path, required=True, metavar="FOLDER", help="a new or an empty folder")
    option("--model", default="", metavar="M", help="name or .safetensors file")
    option("--device", default="auto", metavar="D", help="auto, cpu, cuda or mps")
    option("--clicks", type=positive_count, default=_CLICKS, metavar="N",
           help="on each object, of a model that needs some; default 3")  # fmt: skip
    option("--limit", type=count, default=0, metavar="N",
           help="the most images, spread over all; default 0, all of them")  # fmt: skip
    option("--animation", default="gif", choices=("gif", "mp4", "none"), metavar="KIND",
           help="of stacks: gif (default), mp4 (needs the extra video) or none")  # fmt: skip
    option("--fps", type=float, default=_FPS, metavar="N", help="frames for a second; default 4")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.pictures.albums import album_of
    from napari_clickseg.pictures.animation import check_animation
    from napari_clickseg.pictures.picture_folder import write_pictures
    from napari_clickseg.runs.home import known_run
    from napari_clickseg.util.text import counted

    if not 0 < args.fps <= 100:
        raise UsageError("--fps has to be above 0, and 100 at the most.")
    check_animation(args.animation)
    with Waiting("reading"):
        album = album_of(
            known_run(str(args.source)), model=args.model, device=args.device, clicks=args.clicks,
            limit=args.limit,
        )  # fmt: skip
    with progress(len(album.entries), "images") as bar:
        made = write_pictures(
            album, args.out, animation=args.animation, fps=args.fps, progress=shown_on(bar)
        )
    for name, why in made.problems.items():
        note(f"{name}: {why}")
    more = f", {', '.join(made.animations)}" if made.animations else ""
    say(f"{made.page}: {counted(len(made.rows), 'image')}{more}")
    return 0
