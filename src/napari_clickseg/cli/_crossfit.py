"""`clickseg crossfit`: click-train a model by cross-fitting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import StepsBar, add_verb, note, positive_count, say, say_json
from napari_clickseg.cli._train import (
    add_folder_of_trainings,
    add_settings,
    read_settings,
    settings_in,
)

if TYPE_CHECKING:
    import argparse

    from napari_clickseg.crossfit.crossfitting import CrossfitOutcome
    from napari_clickseg.crossfit.folder import CrossfitFolder
    from napari_clickseg.crossfit.spec import CrossfitSpec


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "crossfit",
        run,
        "Train a model that predicts on its own and obeys clicks, from its own errors.",
        "PROJECT is as for clickseg train, whose settings can be given as well. Models of each "
        "fold find where they are wrong in images that they never saw; clicks are put there, and "
        "new models learn to obey them. OUT/report.md says how good that is, OUT/model.safetensors "
        "is the model. What was stopped goes on with --resume; what is done is not done again.",
    )
    add_settings(parser, "a setting, e.g. clicks=fixed or epochs=20")
    add_folder_of_trainings(parser, "cross-fitting")
    option = parser.add_argument
    option("--folds", type=positive_count, metavar="N", help="default 5, or as there are groups")
    option(
        "--until",
        choices=("predict", "clicks", "report"),
        default="report",
        help="pause after this, e.g. clicks: they can then be edited in OUT/clicks.json",
    )
    option("--baselines", type=Path, metavar="OUT", help="take the baselines of another one")
    option("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.crossfit.folder import CrossfitFolder
    from napari_clickseg.crossfit.spec import CrossfitSpec

    if args.schema:
        say_json(CrossfitSpec.model_json_schema())
        return 0
    given = {"until": args.until, "scheduler": args.scheduler, "workers": args.workers}
    spec = None if args.resume else _spec(args)
    if args.resume:
        _check_resume(args)
    from napari_clickseg.crossfit.crossfitting import crossfit, go_on  # once all was understood

    with StepsBar("stages", "stage", "stage") as bar:
        if spec is None:
            result = go_on(args.out, on_event=bar.show, **given)
        else:
            baselines = args.baselines
            result = crossfit(spec, args.out, baselines=baselines, on_event=bar.show, **given)
    return _answer(CrossfitFolder(args.out), result, as_json=args.json)


def _spec(args: argparse.Namespace) -> CrossfitSpec:
    from napari_clickseg.crossfit.folder import CrossfitFolder
    from napari_clickseg.crossfit.spec import changed, read_crossfit_spec
    from napari_clickseg.training.spec import SpecError

    folds = {} if args.folds is None else {"folds": args.folds}
    if args.baselines is not None:
        fields = read_settings(args.fields) | folds
        if args.project or args.spec or "folds" in fields:
            raise SpecError(
                "--baselines says project and folds; leave PROJECT, --spec and both out."
            )
        return changed(CrossfitFolder(args.baselines).spec, **fields)
    return read_crossfit_spec(args.spec, **settings_in(args, "crossfit") | folds)


def _check_resume(args: argparse.Namespace) -> None:
    from napari_clickseg.training.spec import SpecError

    if args.spec or args.fields or args.folds or args.baselines:
        raise SpecError("--resume goes on with the settings in OUT; leave all others out.")


def _answer(folder: CrossfitFolder, result: CrossfitOutcome, *, as_json: bool) -> int:
    from napari_clickseg.crossfit.report import overview

    for line in result.problems:
        note(f"failed: {line}")
    if result.reason != "done":
        way = f"clickseg crossfit --resume --out {folder.path}"
        say(f"{result.reason.capitalize()}; go on with: {way}")
        return 0
    figures = overview(folder)
    if as_json:
        model = None if result.model is None else str(result.model)
        say_json({"model": model, "problems": result.problems, "figures": figures})
        return 0
    if figures is not None:
        _say_figures(figures)
    say(f"Report: {folder.report}")
    if result.model is not None:
        say(f"Model: {result.model}")
    return 0


def _say_figures(figures: dict[str, Any]) -> None:
    from napari_clickseg.crossfit.figures import KINDS

    for kind, name in KINDS.items():
        values = figures["all"][kind]
        say(f"{name}: IoU {values['iou_imagewise']:.3f}, Dice {values['dice_imagewise']:.3f}")
    obeyed = [row for row in figures["obedience"] if row["clicks"] == "all"][-1]
    if obeyed["count"]:
        say(f"{obeyed['obeyed']:.0%} of {obeyed['count']} clicks obeyed")
    if obeyed["count_wrong"]:
        wrong = f"{obeyed['count_wrong']} on what was wrong without clicks"
        say(f"{obeyed['obeyed_wrong']:.0%} of {wrong}")
