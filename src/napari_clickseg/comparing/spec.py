"""All that a comparison needs to know, as JSON; needs no torch."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from napari_clickseg.training.spec import TrainingSpec, outer_spec, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SPLIT = "all combinations are trained and measured on the same images"
_MEANING = "figures of different tasks can't be compared"
_FIXED = {
    "project": _SPLIT, "corrupt": _SPLIT, "validation_share": _SPLIT, "folds": _SPLIT,
    "fold": _SPLIT, "split_by": _SPLIT, "learn_all": _SPLIT,
    "task": _MEANING, "scheme": _MEANING, "classes": _MEANING, "whole": _MEANING,
    "metric": "all choose their best epoch by the same figure",
    "name": "combinations are named by what varies",
    "seed": "give several seeds with --seeds 0,1,2",
}  # fmt: skip
_LONGEST = 48  # characters of a value in a folder's name


class ComparisonError(ValueError):
    """A comparison that can't begin or go on; the message says why."""


class ComparisonSpec(BaseModel):
    """All that a comparison needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    training: TrainingSpec = Field(description="What all combinations have in common.")
    vary: dict[str, tuple[Any, ...]] = Field(
        description="Settings of the training with the values that are compared; all "
        "combinations of them are trained. The first one makes the columns of the tables."
    )
    seeds: tuple[int, ...] = Field(
        (), description="Each combination is trained with each seed; none: with the training's."
    )

    def to_json(self) -> str:
        """Return the text of the file."""
        return self.model_dump_json(indent=2) + "\n"


@dataclass(frozen=True)
class Trial:
    """A training of a comparison.

    Parameters
    ----------
    name : str
        Of its folder.
    values : dict
        What varies, by setting.
    """

    name: str
    values: dict[str, Any]
    seed: int

    @property
    def combination(self) -> str:
        """What varies, as one line; the same for all seeds."""
        return ", ".join(f"{key}={shown(value)}" for key, value in self.values.items())


def trials(spec: ComparisonSpec) -> list[Trial]:
    """List all trainings: all combinations, each with every seed."""
    listed: list[Trial] = []
    taken: set[str] = set()
    seeds = spec.seeds or (spec.training.seed,)
    for seed in seeds:  # all combinations once, before any is repeated
        for values in _combinations(spec.vary):
            parts = [f"{key}={_plain(shown(value))}" for key, value in values.items()]
            if len(seeds) > 1:
                parts.append(f"seed={seed}")
            stem = name = ",".join(parts)[:200]
            number = 1
            while name.lower() in taken:
                number += 1
                name = f"{stem}-{number}"
            taken.add(name.lower())
            listed.append(Trial(name, values, seed))
    return listed


def shown(value: Any) -> str:
    """Return a value of a setting as people write it."""
    if value in ("", (), [], {}) or value is None:
        return "default"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)) and all(isinstance(v, dict) and "name" in v for v in value):
        return "+".join(_term(term) for term in value)
    if isinstance(value, (int, float)):
        return f"{value:.10g}"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _term(term: Mapping[str, Any]) -> str:
    weight, options = term.get("weight", 1.0), term.get("options", {})
    more = ",".join(f"{key}={shown(value)}" for key, value in options.items())
    return f"{'' if weight == 1 else f'{weight:g}*'}{term['name']}{f'({more})' if more else ''}"


def _plain(text: str) -> str:
    """Return what any file system takes as a part of a name."""
    return re.sub(r"[^A-Za-z0-9.+_-]+", "-", text).strip("-.")[:_LONGEST] or "x"


def _combinations(vary: Mapping[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for values in product(*vary.values()):
        yield dict(zip(vary, values, strict=True))


def read_comparison_spec(path: Path | None = None, **fields: Any) -> ComparisonSpec:
    """Read a spec's JSON file, with other values for some fields.

    Parameters
    ----------
    **fields
        `vary`, a mapping of settings to lists of values, and `seeds`; all others are those of
        the training, in the file either beside them or under "training". A loss may be written
        as in "DiceLoss+0.5*FocalLoss".

    Raises
    ------
    SpecError
        If the file can't be read, a field is unknown, or a value makes no sense.
    ComparisonError
        If there is nothing to compare, or a setting can't be varied.
    """
    raw = read_json(path, "compare") if path is not None else {}
    if not (raw | fields).get("vary"):
        raise ComparisonError(
            "Nothing varies; say what to compare, e.g. --vary architecture=unet,fpn."
        )
    return checked(outer_spec(ComparisonSpec, raw, fields, "compare"))


def checked(spec: ComparisonSpec) -> ComparisonSpec:
    """Return a spec whose values are those of a training; see `read_comparison_spec`."""
    vary = {key: _values(spec.training, key, values) for key, values in spec.vary.items()}
    if sum(1 for _ in _combinations(vary)) < 2:
        raise ComparisonError(
            "There is one combination only; give a setting two values or more, e.g. "
            "--vary architecture=unet,fpn."
        )
    for values in _combinations(vary):
        spec.training.changed(**values)
    if len(set(spec.seeds)) < len(spec.seeds):
        raise ComparisonError("seeds: one is given twice; leave it out.")
    if any(seed < 0 for seed in spec.seeds):
        raise ComparisonError("seeds: give numbers of 0 or more.")
    return spec.model_copy(update={"vary": vary})


def _values(training: TrainingSpec, key: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values of a setting as a training keeps them, in JSON's types."""
    if key not in TrainingSpec.model_fields:
        near = get_close_matches(key, TrainingSpec.model_fields, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ComparisonError(
            f"vary: there is no setting '{key}'{meant}; see clickseg train --schema."
        )
    if key in _FIXED:
        raise ComparisonError(f"vary: {key} can't be varied: {_FIXED[key]}.")
    if not values:
        raise ComparisonError(f"vary: {key} has no value; give two or more.")
    varied: list[Any] = []
    for value in values:
        given = _losses(value) if key == "losses" else value
        kept = json.loads(training.changed(**{key: given}).model_dump_json(include={key}))[key]
        if kept in varied:
            raise ComparisonError(f"vary: {key} has {shown(kept)} twice; leave one out.")
        varied.append(kept)
    return tuple(varied)


def _losses(value: Any) -> Any:
    """Read losses that are written as a sum, e.g. DiceLoss+0.5*FocalLoss."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, str):
        return value
    terms = []
    for part in value.split("+"):
        weight, star, name = part.rpartition("*")
        try:
            terms.append({"name": name.strip(), "weight": float(weight) if star else 1.0})
        except ValueError:
            raise ComparisonError(
                f"vary: losses: '{part}' is not a loss; write e.g. DiceLoss+0.5*FocalLoss."
            ) from None
    return [] if value in ("", "default") else terms
