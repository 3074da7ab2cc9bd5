"""`clickseg compare`: train combinations of settings on one project, and compare them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import StepsBar, add_verb, integers, note, say, say_json
from napari_clickseg.cli._train import (
    add_folder_of_trainings,
    add_settings,
    read_value,
    settings_in,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from napari_clickseg.comparing.compare import ComparisonOutcome
    from napari_clickseg.comparing.folder import ComparisonFolder
    from napari_clickseg.comparing.spec import ComparisonSpec


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "compare",
        run,
        "Compare architectures, encoders, losses and other settings on one project.",
        "PROJECT is as for clickseg train, whose settings can be given as well. All combinations "
        "of what varies are trained on the same images for as long, and measured on the same "
        "others; OUT/report.md has tables and plots. What was stopped goes on with --resume; what "
        "is done is not done again, and what failed is tried again.",
    )
    add_settings(parser, "a setting that all have, e.g. task=binary or epochs=20")
    add_folder_of_trainings(parser, "comparison")
    option = parser.add_argument
    option(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=A,B,...",
        help="a setting and its values, e.g. architecture=unet,linknet,fpn or "
        "losses=DiceLoss,DiceLoss+0.5*FocalLoss; the first one makes the columns of the tables, "
        "the second one the rows",
    )
    option("--seeds", type=integers, metavar="N,N,...", help="train each combination with each")
    option("--skip-unfit", action="store_true", help="do without combinations that don't fit")
    option("--json", type=Path, metavar="F", help="write all figures to this file too")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.comparing.spec import ComparisonSpec
    from napari_clickseg.data.masks import check_free

    if args.schema:
        say_json(ComparisonSpec.model_json_schema())
        return 0
    if args.json is not None:
        check_free(args.json)
    if args.resume:
        _check_resume(args)
    spec = None if args.resume else _spec(args)
    from napari_clickseg.comparing.compare import compare, go_on  # once all was understood

    given = {"scheduler": args.scheduler, "workers": args.workers}
    with StepsBar("trials", "trial", "training") as bar:
        if spec is None:
            result = go_on(args.out, on_event=bar.show, **given)
        else:
            skip = args.skip_unfit
            result = compare(spec, args.out, skip_unfit=skip, on_event=bar.show, **given)
    return _answer(args, result)


def _spec(args: argparse.Namespace) -> ComparisonSpec:
    from napari_clickseg.comparing.spec import read_comparison_spec

    fields = settings_in(args, "compare")
    if args.vary:
        fields["vary"] = read_axes(args.vary)
    if args.seeds is not None:
        fields["seeds"] = args.seeds
    return read_comparison_spec(args.spec, **fields)


def read_axes(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Read what varies, written key=value,value; a value may be JSON with commas of its own.

    Raises
    ------
    ComparisonError
        If one is written otherwise, or a setting comes twice.
    """
    from napari_clickseg.comparing.spec import ComparisonError

    axes: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or not values.strip():
            raise ComparisonError(
                f"--vary {text}: write key=value,value, e.g. architecture=unet,fpn."
            )
        if key in axes:
            raise ComparisonError(f"--vary {key} comes twice; give all its values in one.")
        axes[key] = [read_value(part.strip()) for part in _parted(values)]
    return axes


def _parted(text: str) -> list[str]:
    """Cut at the commas that are in no brackets and no quotes."""
    parts, depth, quoted = [""], 0, False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif not quoted:
            depth += (character in "[{(") - (character in "]})")
        if character == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _check_resume(args: argparse.Namespace) -> None:
    from napari_clickseg.training.spec import SpecError

    if args.project or args.spec or args.fields or args.vary or args.seeds or args.skip_unfit:
        raise SpecError("--resume goes on with the settings in OUT; leave all others out.")


def _answer(args: argparse.Namespace, result: ComparisonOutcome) -> int:
    from napari_clickseg.comparing.folder import ComparisonFolder
    from napari_clickseg.comparing.report import overview

    folder = ComparisonFolder(args.out)
    for line in result.problems:
        note(f"failed: {line}")
    if result.reason != "done":
        say(f"Stopped; go on with: clickseg compare --resume --out {folder.path}")
        return 0
    _say_figures(folder)
    if args.json is not None:
        args.json.write_text(json.dumps(overview(folder), indent=2) + "\n", encoding="utf-8")
    say(f"Report: {result.report}")
    return 0


def _say_figures(folder: ComparisonFolder) -> None:
    from napari_clickseg.comparing import figures
    from napari_clickseg.comparing.report import shape_tables

    groups = figures.grouped(figures.collect(folder))
    names = figures.figure_names(folder.spec.training.task, groups)
    for name, text in list(names.items())[:1]:
        say(f"{text}, validation images:\n")
        say("\n\n".join(shape_tables(folder, groups, name)) + "\n")
