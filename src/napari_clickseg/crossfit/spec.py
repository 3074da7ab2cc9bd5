"""All that a cross-fitting needs to know, as JSON; needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_clickseg.training.spec import TrainingSpec, outer_spec, read_json

if TYPE_CHECKING:
    from pathlib import Path


class CrossfitError(ValueError):
    """A cross-fitting that can't begin or go on; the message says why."""


class CrossfitSpec(BaseModel):
    """All that a cross-fitting needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    training: TrainingSpec = Field(
        description="How each of the networks is trained; baselines never see a click."
    )
    folds: int = Field(5, ge=2, le=100, description="Folds; fewer where there are fewer groups.")
    clicks: Literal["fixed", "simulated", "both"] = Field(
        "both",
        description="Clicks that are learned from: one set that corrects the baselines' errors "
        "(fixed), clicks on the network's own errors as it learns (simulated), or both.",
    )
    begin: Literal["baseline", "start"] = Field(
        "baseline",
        description="What click training begins with: the fold's baseline, which never saw the "
        "fold's images either, or what the baseline itself started from, as the original.",
    )
    anchors: bool = Field(
        False, description="Click on what the baselines found rightly as well, as the original."
    )
    final: bool = Field(
        True, description="Train a model on all images at the end, which is what is used."
    )
    noc_clicks: int = Field(
        10, ge=0, le=50, description="Clicks of the simulated annotator in the report, at the most."
    )

    def to_json(self) -> str:
        """Return the text of the file."""
        return self.model_dump_json(indent=2) + "\n"


def read_crossfit_spec(path: Path | None, **fields: Any) -> CrossfitSpec:
    """Read a spec's JSON file, with other values for some fields.

    Fields of `CrossfitSpec` come first; all others are those of the training, in the file either
    beside them or under "training".

    Raises
    ------
    SpecError
        If the file can't be read, a field is unknown, or a value makes no sense.
    """
    raw = read_json(path, "crossfit") if path is not None else {}
    return outer_spec(CrossfitSpec, raw, fields, "crossfit")


def changed(spec: CrossfitSpec, **fields: Any) -> CrossfitSpec:
    """Return a copy with other values, which are checked; see `read_crossfit_spec`.

    Raises
    ------
    SpecError
        If a field is unknown, or a value makes no sense.
    """
    return outer_spec(CrossfitSpec, spec.model_dump(), fields, "crossfit")
