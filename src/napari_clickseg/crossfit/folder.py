"""The folder of a cross-fitting: each stage's output, whole or not at all; needs no torch.

spec.json, folds.csv, fold-1/ … with index.csv, baseline/ and clicked/ (runs as of
`clickseg train`) and measured.json, predictions/ (probabilities times 255), regions.csv,
clicks.json (and clicks-placed.json, as it was before it was edited in napari), final/ (a run),
model.safetensors, report.md with plots, events.jsonl.
"""

from __future__ import annotations

import csv
import io
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from napari_clickseg.crossfit.spec import CrossfitError, CrossfitSpec, read_crossfit_spec
from napari_clickseg.data.click_table import read_click_table
from napari_clickseg.data.project import read_project
from napari_clickseg.runs.work_folder import WorkFolder
from napari_clickseg.training.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.data.project import Record

Stage = Literal["baseline", "predict", "clicks", "clicked", "measure", "final", "report"]
STAGES: tuple[Stage, ...] = (
    "baseline", "predict", "clicks", "clicked", "measure", "final", "report",
)  # fmt: skip


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoldRow:
    """Which fold an image is in, from 1, and the name of its prediction."""

    image: str
    group: str
    fold: int
    prediction: str


@dataclass(frozen=True, slots=True)
class RegionRow:
    """A region of a prediction that is right, or wrong: `core.regions.Region` as a row.

    Parameters
    ----------
    region : int
        Its number within the image.
    kind : {"tp", "fp", "fn"}
    area : int
        Pixels.
    share : float
        Of the image.
    y, x, height, width : int
        Its box in pixels.
    confidence : float
        Mean probability, in the region, of what was predicted there; 0.5 … 1.
    clicks : int
        Clicks that were placed in it.
    """

    image: str
    fold: int
    region: int
    kind: Literal["tp", "fp", "fn"]
    area: int
    share: float
    y: int
    x: int
    height: int
    width: int
    confidence: float
    clicks: int


@dataclass(frozen=True, slots=True)
class Done:
    """How a stage ended.

    Parameters
    ----------
    fold : int or None
        From 1; None where it is about all folds.
    problem : str
        Why it failed; "" where it did not.
    """

    stage: Stage
    fold: int | None = None
    problem: str = ""


def crossfit_of(predictions: Path) -> CrossfitFolder | None:
    """Return the cross-fitting that predictions are of; None where they are of none.

    Parameters
    ----------
    predictions : Path
        Its folder, or the folder `predictions` in it.
    """
    for path in (predictions, predictions.absolute().parent):
        folder = CrossfitFolder(path)
        inside = predictions == path or folder.predictions.name == predictions.name
        if inside and folder.exists and (path / "folds.csv").exists():
            return folder
    return None


class _MeasuredRegion(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    kind: Literal["tp", "fp", "fn"]
    confidence: float
    clicks: NonNegativeInt
    right: float


class _MeasuredImage(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    image: str
    generated: NonNegativeInt
    overlaps: dict[str, tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]]
    curve: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]
    regions: list[_MeasuredRegion]


class _Measured(BaseModel):
    """A fold's figures, as `crossfit.measure` writes them."""

    model_config = ConfigDict(extra="allow")

    fold: int
    images: list[_MeasuredImage]


class CrossfitFolder(WorkFolder):
    """The folder of a cross-fitting.

    Parameters
    ----------
    path : Path
        Need not be there yet.
    """

    kind: ClassVar[str] = "cross-fitting"
    error: ClassVar[type[ValueError]] = CrossfitError

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.predictions = self.path / "predictions"
        self.regions = self.path / "regions.csv"
        self.clicks = self.path / "clicks.json"
        self.placed = self.path / "clicks-placed.json"  # as they were before any was edited
        self.model = self.path / "model.safetensors"
        self.final = RunFolder(self.path / "final")

    def fold(self, fold: int) -> Path:
        """Return the folder of a fold, from 1."""
        return self.path / f"fold-{fold}"

    def run(self, fold: int, kind: Literal["baseline", "clicked"]) -> RunFolder:
        """Return the run of a fold's model."""
        return RunFolder(self.fold(fold) / kind)

    def measured(self, fold: int) -> Path:
        """Return where a fold's figures are kept."""
        return self.fold(fold) / "measured.json"

    @property
    def spec(self) -> CrossfitSpec:
        """What was asked for, completed from the data.

        Raises
        ------
        CrossfitError
            If there is none, or it can't be read.
        """
        return self._read_spec(read_crossfit_spec)

    def write_rows(self, path: Path, rows: Sequence[FoldRow] | Sequence[RegionRow]) -> None:
        """Write a table, whole or not at all."""
        kind = FoldRow if path.name == "folds.csv" else RegionRow
        text = io.StringIO()
        writer = csv.DictWriter(text, [f.name for f in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
        self.write(path, text.getvalue())

    @property
    def rows(self) -> list[FoldRow]:
        """Which fold each image is in.

        Raises
        ------
        CrossfitError
            If the table is missing or broken.
        """
        path = self.path / "folds.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return [
                    FoldRow(row["image"], row["group"], int(row["fold"]), row["prediction"])
                    for row in csv.DictReader(file)
                ]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise CrossfitError(
                f"{path} can't be read; begin another cross-fitting in another folder."
            ) from error

    @property
    def folds(self) -> list[int]:
        """The folds' numbers, from 1."""
        return sorted({row.fold for row in self.rows})

    def region_rows(self) -> list[RegionRow]:
        """Read the regions of all predictions; none where there is no table yet.

        Rows that make no sense are named in the log and left out.
        """
        if not self.regions.is_file():
            return []
        known = {"int": int, "float": float}
        kinds = {f.name: known.get(str(f.type), str) for f in fields(RegionRow)}
        rows, wrong = [], 0
        with self.regions.open(newline="", encoding="utf-8", errors="replace") as file:
            try:
                for row in csv.DictReader(file):
                    try:
                        values = {name: kind(row[name]) for name, kind in kinds.items()}
                    except (LookupError, TypeError, ValueError, OverflowError):
                        wrong += 1
                    else:
                        rows.append(RegionRow(**values))
            except csv.Error:
                wrong += 1
        if wrong:
            _log.warning("%s: %d rows make no sense, and are left out.", self.regions, wrong)
        return rows

    def without_clicks(self) -> list[FoldRow]:
        """List the images that were predicted after clicks were placed, as of a mended fold.

        Raises
        ------
        ProjectError
            If the table of clicks can't be read.
        """
        known = {row.image for row in read_click_table(self.clicks).images if row.prediction}
        return [
            row
            for row in self.rows
            if row.image not in known and (self.predictions / row.prediction).exists()
        ]

    def records(self) -> dict[str, Record]:
        """Return the project's images that take part, by name.

        Raises
        ------
        CrossfitError
            If one is not there any more.
        """
        project = read_project(Path(self.spec.training.project))
        known = {record.name: record for record in project.records}
        missing = [row.image for row in self.rows if row.image not in known]
        if missing:
            raise CrossfitError(
                f"{missing[0]} is not in the project any more; put it back, or begin another "
                "cross-fitting."
            )
        return {row.image: known[row.image] for row in self.rows}

    def read_measured(self, fold: int) -> dict[str, Any] | None:
        """Return a fold's figures; None where there are none, or none that can be read."""
        measured = self._read_figures(self.measured(fold), _Measured.model_validate_json)
        return None if measured is None else measured.model_dump(exclude_unset=True)

    def seconds(self) -> dict[Stage, float]:
        """Return how long each stage took, all folds together, interruptions left out."""
        seconds: dict[Stage, float] = {}
        for event in self.log.events()[0]:
            if event.get("event") == "stage" and event.get("seconds") is not None:
                name = event["stage"]
                seconds[name] = seconds.get(name, 0.0) + float(event["seconds"])
        return seconds
