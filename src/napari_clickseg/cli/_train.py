"""`clickseg train`: fine-tune a model on a project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from napari_clickseg.cli._common import (
    EventBar,
    Waiting,
    add_verb,
    note,
    positive_count,
    progress,
    say,
    say_json,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from napari_clickseg.training.spec import TrainingSpec


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "train",
        run,
        "Fine-tune a model on annotated images.",
        "PROJECT is a folder with index.csv (columns image, mask, group), with the folders images "
        "and masks, or such a table. What the spec leaves open is chosen from the data; the model "
        "is best.safetensors in the run's folder. A run that was stopped goes on with --resume.",
    )
    add_settings(parser, "a setting, e.g. task=binary (one class, no clicks)")
    option = parser.add_argument
    option("--out", type=Path, metavar="RUN", help="folder of the run; default run-1, run-2, ...")
    option("--resume", type=Path, metavar="RUN", help="go on with a run")
    option("--samples", type=Path, metavar="F.png", help="only draw sixteen windows as learned")


def add_settings(parser: argparse.ArgumentParser, set_help: str) -> None:
    """Add the options that say on what and how to train; `settings_in` reads them."""
    option = parser.add_argument
    option("project", nargs="?", metavar="PROJECT", help="folder or table of images and masks")
    option("--spec", type=Path, metavar="F", help="JSON file with settings, see --schema")
    option(
        "--set",
        action="append",
        default=[],
        dest="fields",
        metavar="KEY=VALUE",
        help=f"{set_help}; may be given several times",
    )
    option("--schema", action="store_true", help="print the JSON schema of a spec")


def add_folder_of_trainings(parser: argparse.ArgumentParser, work: str) -> None:
    """Add the options of work that consists of several trainings in a folder."""
    option = parser.add_argument
    option("--out", type=Path, required=True, metavar="OUT", help=f"folder of the {work}")
    option("--scheduler", default="", metavar="ADDRESS", help="of a dask.distributed cluster")
    option("--workers", type=positive_count, default=1, metavar="N", help="trainings at a time")
    option("--resume", action="store_true", help="go on in OUT")


def settings_in(args: argparse.Namespace, verb: str) -> dict[str, Any]:
    """Return the settings that are given beside the file of `--spec`.

    Raises
    ------
    SpecError
        If one is not written key=value, or nothing says which project it is about.
    """
    from napari_clickseg.training.spec import SpecError

    fields = read_settings(args.fields)
    if args.project:
        fields["project"] = args.project
    if args.spec is None and "project" not in fields:
        raise SpecError(f"Give the folder of a project; see clickseg {verb} --help.")
    return fields


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.training.spec import schema

    if args.schema:
        say_json(schema())
        return 0
    if args.resume is not None:
        return _resume(args)
    spec = _spec(args)
    if args.samples is not None:
        return _samples(args, spec)
    folder = args.out or _free_folder()
    with _EpochBar() as bar:
        from napari_clickseg.training.finetune import finetune  # torch, once all was understood

        outcome = finetune(spec, folder, on_event=bar.show)
    return _done(folder, outcome.reason)


def _resume(args: argparse.Namespace) -> int:
    from napari_clickseg.training.spec import SpecError

    if args.project or args.spec or args.fields or args.out:
        raise SpecError("--resume goes on with the run's own settings; leave all others out.")
    with _EpochBar() as bar:
        from napari_clickseg.training.finetune import resume

        outcome = resume(args.resume, on_event=bar.show)
    return _done(args.resume, outcome.reason)


def _samples(args: argparse.Namespace, spec: TrainingSpec) -> int:
    import imageio.v3 as iio

    from napari_clickseg.data.masks import check_free
    from napari_clickseg.training.finetune import sample_sheet

    check_free(args.samples)
    iio.imwrite(args.samples, sample_sheet(spec))
    say(f"{args.samples}")
    return 0


def _spec(args: argparse.Namespace) -> TrainingSpec:
    from napari_clickseg.training.spec import read_spec

    return read_spec(args.spec, **settings_in(args, "train"))


def read_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read settings that are written key=value.

    Raises
    ------
    SpecError
        If one is not.
    """
    from napari_clickseg.training.spec import SpecError

    fields: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise SpecError(f"--set {text}: write key=value, e.g. epochs=20.")
        fields[key.strip()] = read_value(value)
    return fields


def read_value(text: str) -> Any:
    """Read a value: JSON, else plain text."""
    try:
        return json.loads(text)
    except ValueError:
        words = {"true": True, "True": True, "false": False, "False": False, "none": None}
        return words.get(text, text)


def _free_folder() -> Path:
    n = 1
    while (folder := Path(f"run-{n}")).exists():
        n += 1
    return folder


def _done(folder: Path, reason: str) -> int:
    from napari_clickseg.training.run_folder import RunFolder

    run = RunFolder(folder)
    for event in run.events()[0]:
        if event["event"] == "help":
            _say_help(event)
    if reason == "stopped":
        say(f"Stopped; go on with: clickseg train --resume {folder}")
    say(f"Model: {run.model}")
    return 0


def _say_help(event: dict[str, Any]) -> None:
    """Say whether it helped: first in words, then the rows that say most, then what to do."""
    from napari_clickseg.training.progress import RunProgress, follow, parted

    known = follow(RunProgress(), [event])
    if known.verdict is not None:
        say(known.verdict.text)
    for row in parted(known.table)[0]:
        before, after = ("-" if v is None else f"{v:.3f}" for v in (row.before, row.after))
        say(row.text if row.note else f"  {row.metric}: {before} -> {after}")
    for line in known.verdict.advice if known.verdict is not None else ():
        say(f"Next: {line}")


class _EpochBar(EventBar):
    """Shows a run's events as a progress bar and notes; what is waited for until its first."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = Waiting("loading the network and the images")
        self._epochs = 0

    def __enter__(self) -> Self:
        self._waiting.__enter__()
        return super().__enter__()

    def __exit__(self, *what: object) -> None:
        self._waiting.end()
        super().__exit__(*what)

    def show(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "started":
                self._waiting.say(f"epoch 1 of {event['epochs']}")
                self._epochs = event["epochs"]
            case "message":
                self._waiting.end()
                note(event["text"])
            case "epoch":
                self._waiting.end()
                self._bar = self._bar or progress(self._epochs, "epoch")
                figures = event["metrics"]
                shown = {k: figures[k] for k in list(figures)[:2]}
                self._bar.set_postfix({"loss": event["loss"], **shown}, refresh=False)
                self._bar.update(event["epoch"] - self._bar.n)
