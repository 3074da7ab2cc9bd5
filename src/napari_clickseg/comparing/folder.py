"""The folder of a comparison; needs no torch.

spec.json, split/index.csv (which image is in which set), a folder for each training (a run as of
`clickseg train`, and measured.json), comparison.csv, comparison.json, report.md with plots,
events.jsonl.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import TypeAdapter

from napari_clickseg.comparing.spec import (
    ComparisonError,
    ComparisonSpec,
    read_comparison_spec,
    trials,
)
from napari_clickseg.data.index import INDEX, read_table
from napari_clickseg.runs.work_folder import WorkFolder
from napari_clickseg.training.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg.comparing.spec import Trial
    from napari_clickseg.training.spec import TrainingSpec

_FIGURES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_OWN = {"split", "events.jsonl", "stop"}  # what one that could not be begun leaves


class ComparisonFolder(WorkFolder):
    """The folder of a comparison.

    Parameters
    ----------
    path : Path
        Need not be there yet.
    """

    kind: ClassVar[str] = "comparison"
    error: ClassVar[type[ValueError]] = ComparisonError

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.split_folder = self.path / "split"
        self.table = self.path / "comparison.csv"
        self.figures = self.path / "comparison.json"

    def check_free(self) -> None:
        """Refuse a folder in which something else is.

        Raises
        ------
        ComparisonError
            If there is.
        """
        if self.path.is_file():
            raise ComparisonError(f"{self.path} is a file; choose another folder.")
        if self.exists and self.split_folder.exists():
            raise ComparisonError(
                f"{self.path} holds a comparison already; go on with it (--resume), or choose "
                "another folder."
            )
        there = {one.name for one in self.path.iterdir()} if self.path.exists() else set()
        if {name for name in there if not name.startswith(".")} - _OWN:
            raise ComparisonError(f"{self.path} is not empty; choose another folder.")

    @cached_property
    def spec(self) -> ComparisonSpec:
        """What was asked for, completed from the data.

        Raises
        ------
        ComparisonError
            If there is none, or it can't be read.
        """
        return self._read_spec(read_comparison_spec)

    @cached_property
    def trials(self) -> list[Trial]:
        """The trainings."""
        return trials(self.spec)

    def trial(self, name: str) -> Trial:
        """Return one of the trainings."""
        return next(trial for trial in self.trials if trial.name == name)

    def run(self, name: str) -> RunFolder:
        """Return the run of a training."""
        return RunFolder(self.path / name)

    def training_spec(self, trial: Trial) -> TrainingSpec:
        """Return how one of them is trained."""
        training = self.spec.training
        return training.changed(
            project=str((self.split_folder / INDEX).resolve()),
            name=f"{training.name}, {trial.combination}",
            seed=trial.seed,
            **trial.values,
        )

    def is_done(self, name: str) -> bool:
        """Whether a training ended and was measured."""
        run = self.run(name)
        return run.state == "finished" and run.model.exists() and self.measured_path(name).exists()

    def measured_path(self, name: str) -> Path:
        """Return where what was measured after a training is kept."""
        return self.path / name / "measured.json"

    def measured(self, name: str) -> dict[str, Any]:
        """Return what was measured after a training; empty where nothing was, or can be read."""
        return self._read_figures(self.measured_path(name), _FIGURES.validate_json) or {}

    def split(self) -> dict[str, list[str]]:
        """Return the names of the images in each set: training, validation, test.

        Raises
        ------
        ProjectError
            If the table is missing or broken.
        """
        names: dict[str, list[str]] = {"training": [], "validation": [], "test": []}
        for row in read_table(self.split_folder / INDEX).rows:
            names[row.split].append(row.image)
        return names

    def split_digest(self) -> str:
        """Return what tells this split from any other one.

        Raises
        ------
        ComparisonError
            If it can't be read.
        """
        path = self.split_folder / INDEX
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ComparisonError(
                f"{path} can't be read ({error.strerror or error}); put it back, or begin another "
                "comparison."
            ) from error

    def check_split(self) -> None:
        """See that the images are still split as in the beginning.

        Raises
        ------
        ComparisonError
            If not: what is trained from now on could not be compared with what was before.
        """
        known = [e["sha256"] for e in self.log.events()[0] if e.get("event") == "split"]
        if known and known[-1] != self.split_digest():
            raise ComparisonError(
                f"{self.split_folder / INDEX} was changed after the comparison began; put it back, "
                "or begin another comparison."
            )
