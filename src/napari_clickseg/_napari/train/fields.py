"""The fields of a TrainingSpec as a form shows them, made from the spec itself."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from napari_clickseg.crossfit.spec import CrossfitSpec, read_crossfit_spec
from napari_clickseg.training.spec import TASK_WORDS, SpecError, TrainingSpec, read_spec

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Kind = Literal["choice", "switch", "integer", "text"]

CROSSFIT = "crossfit."  # stands before the names of fields of a CrossfitSpec
# Fields of the training that a cross-fitting decides.
NOT_CROSSFIT = ("task", "folds", "fold", "clicks", "clicks_from", "learn_all")

# What has a place of its own in the widget.
_ELSEWHERE = ("project", "name")
GROUPS: dict[str, tuple[str, ...]] = {
    "Main": ("task", "start"),  # what everybody may want to see; all others are folded away
    "Images": (
        *("scheme", "classes", "split_by", "validation_share", "folds", "fold"),
        *("augmentation", "size", "windows", "click_probability", "corrupt", "cache_mib"),
    ),
    "Network": (
        *("start_parts", "architecture", "encoder", "options", "encoding", "image_channels"),
        *("freeze_encoder", "encoder_rate", "dropout"),
    ),
    "Learning": (
        *("epochs", "patience", "metric", "batch", "accumulate", "losses", "class_weights"),
        *("optimizer", "learning_rate", "schedule", "warm_up", "weight_decay", "clip", "ema"),
        *("amp", "device", "seed"),
    ),
}
CROSSFIT_GROUPS: dict[str, tuple[str, ...]] = {  # fields of a CrossfitSpec
    "Crossfit": ("folds",),
    "Click training": ("clicks", "begin", "anchors", "final", "noc_clicks"),
}
NAMED = ("architecture", "encoder")  # fields whose names are listed in the state
_SUGGESTED = {"device": ("auto", "cpu", "cuda", "mps")}
_CHOICES: dict[str, dict[str, str]] = {  # by field
    "task": TASK_WORDS,
    "scheme": {"instances": "objects"},
    "optimizer": {"adamw": "AdamW", "muon": "Muon"},
    "crossfit.clicks": {"fixed": "on the baselines' errors", "simulated": "on its own errors"},
    "crossfit.begin": {"baseline": "the fold's baseline", "start": "what baselines began with"},
}
_SHORT = {  # where the field's name does not say it to a biologist
    "start": "Start from",
    "start_parts": "Take over",
    "scheme": "Ids are",
    "split_by": "Split by",
    "corrupt": "Broken images",
    "cache_mib": "Memory, MiB",
    "click_probability": "Clicked share",
    "validation_share": "Validation",
    "encoder_rate": "Encoder's rate",
    "freeze_encoder": "Freeze encoder",
    "amp": "Half precision",
    "ema": "Averaging",
    "clip": "Clip at",
    "size": "Window side",
    "encoding": "Encoding",
    "image_channels": "Channels",
    "class_weights": "Class weights",
    "whole": "All as one",
    "crossfit.clicks": "Clicks",
    "crossfit.begin": "Begin with",
    "crossfit.anchors": "Anchors",
    "crossfit.final": "Final model",
    "crossfit.noc_clicks": "Test clicks",
}
_TERM = re.compile(r"(?:(?P<weight>[0-9.eE+-]+)\s*\*?\s*)?(?P<name>[A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of the spec as a form shows it.

    Parameters
    ----------
    name, label, tip : str
        The field, what stands beside it, and its description.
    kind : {"choice", "switch", "integer", "text"}
    choices : tuple of (str, object)
        Of a choice: text and value.
    low, high : int
        Of an integer.
    automatic : str
        Of a text: what is shown where it is left open.
    """

    name: str
    label: str
    tip: str
    kind: Kind
    default: Any
    choices: tuple[tuple[str, Any], ...] = ()
    low: int = 0
    high: int = 2**31 - 1
    automatic: str = ""


@cache
def settings_of(group: str) -> tuple[Setting, ...]:
    """Return the settings of one of `GROUPS`; a field that no group names is in the last one.

    Those of `CROSSFIT_GROUPS` have "crossfit." before their names.
    """
    if group in CROSSFIT_GROUPS:
        own = CrossfitSpec.model_fields
        return tuple(_setting(f"{CROSSFIT}{one}", own[one]) for one in CROSSFIT_GROUPS[group])
    fields = TrainingSpec.model_fields
    named = [name for name in GROUPS[group] if name in fields]
    if group == next(reversed(GROUPS)):
        known = {name for names in GROUPS.values() for name in names}
        others = [name for name in fields if name not in _ELSEWHERE]
        named += [name for name in others if name not in known]
    return tuple(_setting(name, fields[name]) for name in named)


def checked(settings: Mapping[str, Any], **fields: Any) -> TrainingSpec:
    """Return the spec of a training that settings make; those of a cross-fitting are checked too.

    Parameters
    ----------
    settings : mapping
        Fields that differ from the defaults.
    **fields : object
        Further ones; `project` is needed for training, but not for a check.

    Raises
    ------
    SpecError
        If a value makes no sense; the message says of which field.
    """
    known = {"project": "-", **fields}
    if any(name.startswith(CROSSFIT) for name in settings):
        crossfit_checked(settings, **known)
    own = {name: value for name, value in settings.items() if not name.startswith(CROSSFIT)}
    return read_spec(None, **own | known)


def crossfit_checked(settings: Mapping[str, Any], **fields: Any) -> CrossfitSpec:
    """Return the spec of a cross-fitting that settings make.

    Parameters
    ----------
    settings : mapping
        Fields that differ from the defaults; those that a cross-fitting decides are left out.
    **fields : object
        Further ones of the training, such as its project.

    Raises
    ------
    SpecError
        If a value makes no sense; the message says of which field.
    """
    own = {n.removeprefix(CROSSFIT): v for n, v in settings.items() if n.startswith(CROSSFIT)}
    training = {n: v for n, v in settings.items() if not n.startswith(CROSSFIT)}
    training = {n: v for n, v in training.items() if n not in NOT_CROSSFIT} | fields
    return read_crossfit_spec(None, **own, training={"project": "-"} | training)


def text_of(setting: Setting, value: Any) -> str:
    """Return a value as the user reads and edits it."""
    if setting.name == "losses":
        return _losses_text(value)
    if value is None or value in ((), {}, ""):
        return ""
    if type(value) is int and value == setting.default:
        return ""  # 0, which stands for what is chosen from the data
    if isinstance(value, str):
        return value
    if isinstance(value, (tuple, list)):
        return ", ".join(f"{one:g}" for one in value)
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value)


def value_of(setting: Setting, text: str) -> Any:
    """Return the value that a text stands for; it is checked by `checked`.

    Raises
    ------
    SpecError
        If it can't be understood at all.
    """
    text = text.strip()
    if not text:
        return setting.default
    if setting.name == "losses":
        return _losses(text)
    if isinstance(setting.default, str):
        return text
    if setting.name == "class_weights" and not text[0].isdigit():
        return text
    try:
        if isinstance(setting.default, tuple) or setting.name == "class_weights":
            return tuple(json.loads(f"[{text}]"))
        return json.loads(text)
    except ValueError:
        raise SpecError(f"{setting.label}: '{text}' can't be understood.") from None


def _setting(name: str, field: FieldInfo) -> Setting:
    label = _SHORT.get(name, name.removeprefix(CROSSFIT).replace("_", " ").capitalize())
    tip = field.description or ""
    default = field.get_default(call_default_factory=True)
    kind = field.annotation
    if get_origin(kind) is Literal:
        words = _CHOICES.get(name, {})
        choices = tuple((words.get(one, str(one)), one) for one in get_args(kind))
        return Setting(name, label, tip, "choice", default, choices)
    if name in _SUGGESTED:
        choices = tuple((one, one) for one in _SUGGESTED[name])
        return Setting(name, label, tip, "choice", default, choices)
    if kind is bool:
        return Setting(name, label, tip, "switch", default)
    if kind is int and "0: from data" not in tip:
        low, high = _limits(field)
        return Setting(name, label, tip, "integer", default, (), low, high)
    open_text = "from data" if kind is int else "automatic"
    return Setting(name, label, _with_form(name, tip, kind), "text", default, automatic=open_text)


def _limits(field: FieldInfo) -> tuple[int, int]:
    low, high = 0, 2**31 - 1
    for limit in field.metadata:
        low = getattr(limit, "ge", low)
        high = getattr(limit, "le", high)
    return int(low), int(high)


def _with_form(name: str, tip: str, kind: Any) -> str:
    """Add how it is written, where that is not plain."""
    if name == "losses":
        return f"{tip}\nFor example: DiceLoss + 0.5 FocalLoss"
    if name == "class_weights":
        return f"{tip}\nFor example: balanced, or 0.2, 1, 1"
    origins = [get_origin(one) for one in (get_args(kind) if _is_union(kind) else (kind,))]
    if tuple in origins:
        return f"{tip}\nNumbers, with commas between."
    if dict in origins:
        return f'{tip}\nJSON, such as {{"decoder_channels": [64, 32, 16]}}'
    return tip


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _losses(text: str) -> list[dict[str, Any]]:
    if text.startswith("["):
        try:
            losses: list[dict[str, Any]] = json.loads(text)
            return losses
        except ValueError:
            raise SpecError(f"losses: '{text}' is no JSON.") from None
    terms = []
    for part in text.split(" + ") if " + " in text else re.split(r"[+,]", text):
        match = _TERM.fullmatch(part.strip())
        if match is None:
            raise SpecError(
                f"losses: '{part.strip()}' can't be understood; write for example "
                "DiceLoss + 0.5 FocalLoss."
            )
        term: dict[str, Any] = {"name": match["name"]}
        if match["weight"]:
            try:
                term["weight"] = float(match["weight"])
            except ValueError:
                raise SpecError(f"losses: '{match['weight']}' is not a number.") from None
        terms.append(term)
    return terms


def _losses_text(terms: Any) -> str:
    plain = [term if isinstance(term, Mapping) else term.model_dump() for term in terms]
    if any(term.get("options") for term in plain):
        return json.dumps(plain)
    return " + ".join(
        term["name"] if term.get("weight", 1.0) == 1 else f"{term['weight']:g} {term['name']}"
        for term in plain
    )
