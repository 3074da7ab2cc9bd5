"""The beginning of a comparison: the split, and whether every combination can be trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.comparing.spec import ComparisonError, checked, shown, trials
from napari_clickseg.data.project import read_project
from napari_clickseg.data.sets.dataset import Dataset
from napari_clickseg.data.sets.derived import write_derived
from napari_clickseg.engine.devices import choose_device
from napari_clickseg.models._torch import keep_triton_out
from napari_clickseg.training import defaults
from napari_clickseg.training.prepare import prepare
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from napari_clickseg.comparing.folder import ComparisonFolder
    from napari_clickseg.comparing.spec import ComparisonSpec
    from napari_clickseg.data.project import Record
    from napari_clickseg.training.prepare import Prepared
    from napari_clickseg.training.spec import TrainingSpec

# What decides whether a training can begin; others need not be tried again.
_DECIDES = (
    "architecture", "encoder", "options", "start", "start_parts", "encoding", "image_channels",
    "size", "losses", "class_weights", "clicks", "clicks_from", "device",
)  # fmt: skip
_NETWORK = {"architecture", "encoder", "options"}


@dataclass(frozen=True)
class _Tried:
    """What came of building one combination's network."""

    combination: str
    trained_encoder: bool = False
    architecture: str = ""
    encoder: str = ""
    options: str = ""  # that are the start's
    said: tuple[str, ...] = ()
    problem: str = ""


def begin(spec: ComparisonSpec, folder: ComparisonFolder, *, skip_unfit: bool = False) -> list[str]:
    """Make the folder of a new comparison, once all combinations were tried.

    Parameters
    ----------
    spec : ComparisonSpec
        What is left open is chosen from the data, once for all combinations.
    folder : ComparisonFolder
        Must not hold one yet.
    skip_unfit : bool
        Go on without combinations that can't be trained, if there are others.

    Returns
    -------
    list of str
        What the user should know, a line each.

    Raises
    ------
    ComparisonError, ProjectError, TrainingError, SplitError, SpecError
        If it can't be begun; the message says why.
    """
    folder.check_free()
    spec = checked(spec)
    keep_triton_out()
    choose_device(spec.training.device)
    source = Path(spec.training.project).resolve()
    if spec.training.learn_all:
        raise ComparisonError("learn_all: nothing would be left to compare on; leave it out.")
    prepared = prepare(_suited(spec, source))
    if "encoding" in spec.vary:  # it decides the channels
        channels = spec.training.image_channels
        prepared = replace(prepared, spec=prepared.spec.changed(image_channels=channels))
    said = list(prepared.warnings)
    tried = _try_all(spec, prepared)
    _refuse(tried, skip_unfit)
    said += _unfair(spec, tried)
    training = prepared.spec.changed(**_named(tried))
    seeds = spec.seeds or (training.seed,)
    spec = spec.model_copy(update={"training": training, "seeds": seeds})
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        _write_split(folder, prepared)
        folder.write(folder.path / "spec.json", spec.to_json())  # last: now it is one
    except OSError as error:
        raise ComparisonError(
            f"Nothing can be written to {folder.path} ({error.strerror or error}); choose another "
            "folder."
        ) from error
    return list(dict.fromkeys(said))


def _suited(spec: ComparisonSpec, source: Path) -> TrainingSpec:
    """Return the training's spec with what makes a comparison fair, unless the user said more."""
    given = spec.training.model_fields_set
    fields: dict[str, Any] = {"project": str(source)}
    if "patience" not in given and "patience" not in spec.vary:
        fields["patience"] = 0  # all learn for as long
    if _NETWORK & set(spec.vary) and not {"start_parts"} & (given | set(spec.vary)):
        fields["start_parts"] = "encoder"  # or the start's own architecture has an advantage
    return spec.training.changed(**fields)


def _write_split(folder: ComparisonFolder, prepared: Prepared) -> None:
    project = read_project(Path(prepared.spec.project))
    known = {image.name for image in prepared.findings.images}
    sets: dict[str, list[Record]] = {
        "training": list(prepared.training.records),
        "validation": list(prepared.validation.records),
        "test": [r for r in project.records if r.split == "test" and r.name in known],
    }
    records = [record for some in sets.values() for record in some]
    splits = [name for name, some in sets.items() for _ in some]
    write_derived(folder.split_folder, project, records, splits)
    counts = {name: len(some) for name, some in sets.items()}
    folder.log.add("split", sha256=folder.split_digest(), **counts)


def _named(tried: list[_Tried]) -> dict[str, str]:
    """Return the start's architecture and encoder, where all have the same."""
    fit = [one for one in tried if not one.problem]
    both = {"architecture": {o.architecture for o in fit}, "encoder": {o.encoder for o in fit}}
    return {key: names.pop() for key, names in both.items() if len(names) == 1}


def _try_all(spec: ComparisonSpec, prepared: Prepared) -> list[_Tried]:
    """Build the network and the losses of every combination, each once."""
    tried: dict[str, _Tried] = {}
    for trial in trials(spec):
        values = {key: value for key, value in trial.values.items() if key in _DECIDES}
        name = ", ".join(f"{key}={shown(value)}" for key, value in values.items())
        if name not in tried:
            tried[name] = _try(spec, prepared, values, name)
    return list(tried.values())


def _try(spec: ComparisonSpec, prepared: Prepared, values: dict[str, Any], name: str) -> _Tried:
    from napari_clickseg.training.finetune import make_start, make_work

    said: list[str] = []
    try:
        asked = prepared.spec.changed(**values)
        asked = defaults.completed(asked, prepared.findings)
        few = Dataset([_most_labelled(prepared)], 0)
        one = replace(
            prepared, spec=asked, training=few, validation=few,
            zoom=defaults.zoom(asked, prepared.findings),
        )  # fmt: skip
        start = make_start(one, said.append)
        make_work(one, start.card, choose_device(asked.device))
    except (ValueError, OSError) as error:
        return _Tried(name, problem=one_line(error))
    taken = "" if asked.options == start.card.options else shown(start.card.options)
    card = start.card
    return _Tried(name, start.trained_encoder, card.architecture, card.encoder, taken, tuple(said))


def _most_labelled(prepared: Prepared) -> Record:
    """Return an image that there is something to learn from."""
    pixels = {image.name: sum(image.pixels.values()) for image in prepared.findings.images}
    return max(prepared.training.records, key=lambda record: pixels.get(record.name, 0))


def _refuse(tried: list[_Tried], skip_unfit: bool) -> None:
    unfit = [one for one in tried if one.problem]
    if not unfit:
        return
    text = unfit[0].problem.rstrip(".")
    where = _of(unfit[0])
    if len(unfit) == len(tried):
        raise ComparisonError(f"No combination can be trained: {where}{text}.")
    if not skip_unfit:
        others = f" {len(unfit) - 1} more can't be trained either." if len(unfit) > 1 else ""
        raise ComparisonError(
            f"{where}{text}.{others} Leave it out, or train the others all the same (--skip-unfit)."
        )


def _unfair(spec: ComparisonSpec, tried: list[_Tried]) -> list[str]:
    """Refuse to vary what changes nothing; return what the user should know."""
    fit = [one for one in tried if not one.problem]
    said = [f"{_of(one)}{text}" for one in fit for text in one.said]
    if _NETWORK & set(spec.vary):
        said += [
            f"{_of(one)}this is the start's network, whose options {one.options} it takes."
            for one in fit
            if one.options
        ]
    cold = [one.combination or "all" for one in fit if not one.trained_encoder]
    if "encoder_rate" in spec.vary and len(cold) == len(fit):
        raise ComparisonError(
            "vary: encoder_rate changes nothing, since no encoder starts trained; choose another "
            "start (--set start=default or imagenet), or another encoder."
        )
    if cold and len(cold) < len(fit):
        said.append(
            f"Not all encoders start trained, which is unfair to {'; '.join(cold)}; choose "
            "start=imagenet or scratch for all of them."
        )
    return said


def _of(one: _Tried) -> str:
    return f"{one.combination}: " if one.combination else ""
