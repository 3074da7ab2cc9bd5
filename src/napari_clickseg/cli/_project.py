"""`clickseg project`: hand a project on as one file, and take one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import add_verb, note, progress, say, say_json, shown_on

if TYPE_CHECKING:
    import argparse


def add(verbs: Any) -> None:
    parser = add_verb(verbs, "project", lambda args: 2, "Pack a project into one file; unpack one.")
    parts = parser.add_subparsers(metavar="pack|unpack", required=True)
    _add_pack(parts)
    _add_unpack(parts)


def _add_pack(parts: Any) -> None:
    parser = add_verb(
        parts,
        "pack",
        run_pack,
        "Pack a project into one file: images, masks, clicks, classes and predictions, with the "
        "models and runs that you name.",
        "Images that lie outside of the project come along. Of a run come its figures, report and "
        "models; what it would be resumed from stays behind.",
    )
    option = parser.add_argument
    option("project", type=Path, metavar="PROJECT", help="its folder, or its table")
    option("bundle", type=Path, metavar="BUNDLE", help="the .zip file to write")
    option("--model", dest="models", action="append", default=[], metavar="M",
           help="a model to come along, by name or file; may be given again")  # fmt: skip
    option("--run", dest="runs", action="append", default=[], metavar="R",
           help="a run to come along, by name or folder; may be given again")  # fmt: skip
    option("--no-predictions", action="store_true", help="leave out what is to be reviewed")
    option("--overwrite", action="store_true", help="replace a file that is there")
    option("--json", action="store_true", help="print what went in as JSON")


def _add_unpack(parts: Any) -> None:
    parser = add_verb(
        parts,
        "unpack",
        run_unpack,
        "Make a project of a file that 'clickseg project pack' wrote.",
        "All sums are checked, and nothing in it is run. It becomes a folder as a whole, or not at "
        "all. Models lie in its folder models: 'clickseg models add FILE' makes one yours.",
    )
    option = parser.add_argument
    option("bundle", type=Path, metavar="BUNDLE", help="the .zip file")
    option(
        "--out", type=Path, required=True, metavar="FOLDER", help="a folder that is new or empty"
    )
    option("--json", action="store_true", help="print what came out as JSON")


def run_pack(args: argparse.Namespace) -> int:
    """Run `project pack`."""
    from napari_clickseg import __version__
    from napari_clickseg.data.bundles.pack import pack
    from napari_clickseg.runs.home import known_run
    from napari_clickseg.util.text import counted

    with progress(0, "B") as bar:
        packed = pack(
            args.project,
            args.bundle,
            models=_models(args.models),
            runs=[known_run(name) for name in args.runs],
            predictions=not args.no_predictions,
            overwrite=args.overwrite,
            program=f"napari-clickseg {__version__}",
            progress=shown_on(bar),
        )
    for line in packed.left_out:
        note(line)
    figures = {"images": packed.images, "masks": packed.masks, "models": packed.models,
               "runs": packed.runs, "bytes": packed.bytes}  # fmt: skip
    if args.json:
        say_json({**figures, "left_out": packed.left_out})
        return 0
    parts = [counted(packed.images, "image"), counted(packed.masks, "mask")]
    parts += [counted(packed.models, "model")] if packed.models else []
    parts += [counted(packed.runs, "run")] if packed.runs else []
    say(f"{args.bundle}: {', '.join(parts)}; {packed.bytes / 1e6:,.1f} MB.")
    return 0


def run_unpack(args: argparse.Namespace) -> int:
    """Run `project unpack`."""
    from napari_clickseg.data.bundles.unpack import unpack
    from napari_clickseg.util.text import counted

    with progress(0, "B") as bar:
        came = unpack(args.bundle, args.out, progress=shown_on(bar))
    for line in came.left_out:
        note(line)
    if args.json:
        say_json({
            "folder": str(came.folder), "images": came.images, "masks": came.masks,
            "models": [str(path) for path in came.models],
            "runs": [str(path) for path in came.runs], "left_out": came.left_out,
        })  # fmt: skip
        return 0
    say(f"{came.folder}: {counted(came.images, 'image')}, {counted(came.masks, 'mask')}.")
    for path in came.models:
        say(f"A model: {path} (clickseg models add {path})")
    for path in came.runs:
        say(f"A run: {path}")
    return 0


def _models(names: list[str]) -> dict[str, Path]:
    """Find models by name or file, and see that they are ones."""
    from napari_clickseg.cli._common import UsageError
    from napari_clickseg.models.checkpoint import read_card
    from napari_clickseg.models.registry import find_model
    from napari_clickseg.models.trained_models import model_name

    models: dict[str, Path] = {}
    for name in names:
        path = find_model(name).path
        read_card(path)
        if models.setdefault(called := model_name(path), path) != path:
            raise UsageError(f"Two models are called '{called}'; rename one of the files.")
    return models
