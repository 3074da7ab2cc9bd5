"""The model that answers fits the project that the image is from, unless the user chose one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_clickseg._napari.viewer.metadata import Origin
from napari_clickseg.models.card import DataSource, ModelCard
from napari_clickseg.models.checkpoint import save_model
from napari_clickseg.models.trained_models import TrainedModels, note_origins, origins_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


class Trainings:
    """A folder of runs, each newer than the one before."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._count = 0

    def add(self, name: str, project: str, helped: str, **fields: Any) -> str:
        """Add a model that was trained on a project; return its path."""
        fields = {"encoding": "channels"} | fields
        card = ModelCard(
            name="m", architecture="unet", encoder="none", training={"helped": helped},
            data=(DataSource(name=project, images=3, licence="not stated"),), **fields,
        )  # fmt: skip
        path = self.home / "runs" / name / "best.safetensors"
        path.parent.mkdir(parents=True)
        save_model(path, {"weight": torch.zeros(1)}, card)
        self._count += 1
        os.utime(path, (self._count, self._count))
        return str(path)


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    return Trainings(tmp_path / "home")


@pytest.fixture
def bench(make_bench: Callable[..., Any], trainings: Trainings) -> Any:
    return make_bench(trained=TrainedModels(trainings.home))


def annotate(bench: Any, data: np.ndarray, project: Path | None) -> Any:
    """Annotate a new image of a project, or of none, and wait until its model is looked up."""
    origin = Origin(str(project), ["image"], [""], [""], False) if project else None
    image = bench.open(data, metadata=origin.as_metadata() if origin else {})
    settle(bench)
    return image


def settle(bench: Any) -> None:
    bench.wait(lambda: bench.controller.models.idle)
    bench.settle()


def test_the_newest_model_that_learned_from_the_project_and_helped_answers(
    bench: Any, trainings: Trainings, grey: np.ndarray, tmp_path: Path
) -> None:
    trainings.add("old", str(tmp_path / "a"), "better")
    wanted = trainings.add("new", str(tmp_path / "a" / "index.csv"), "better")
    trainings.add("of-another", str(tmp_path / "b"), "better")
    trainings.add("unsure", str(tmp_path / "a"), "unsure")
    trainings.add("worse", str(tmp_path / "a"), "worse")
    image_alone = {"encoding": "image", "automatic": True}
    trainings.add("without-clicks", str(tmp_path / "a"), "better", **image_alone)
    annotate(bench, grey, tmp_path / "a")
    assert bench.state.model == wanted and bench.state.model_status == "ready"
    assert bench.state.message == "“new” answers: it learned from this project, and that helped."
    assert [name for name, _ in bench.state.fitting] == ["unsure", "new", "old"]


def test_a_model_that_learned_from_layers_of_a_project_is_the_projects(
    bench: Any, trainings: Trainings, grey: np.ndarray, tmp_path: Path
) -> None:
    """Training from open layers gathers them into a folder of its own; the run notes the origin."""
    wanted = trainings.add("layers", str(tmp_path / "home" / "projects" / "layers"), "better")
    note_origins(Path(wanted).parent, [str(tmp_path / "b"), str(tmp_path / "a")])
    annotate(bench, grey, tmp_path / "a")
    assert bench.state.model == wanted


@pytest.mark.parametrize("text", ["", "{", "7", "[1, null]", "[" * 10**5, '"a"'])
def test_a_note_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "origins.json").write_text(text)
    assert origins_of(tmp_path) == ()


@pytest.mark.parametrize("helped", ["worse", "same", "unsure", "alone", "unmeasured", ""])
def test_a_model_that_is_not_known_to_help_is_never_the_default(
    bench: Any, trainings: Trainings, grey: np.ndarray, tmp_path: Path, helped: str
) -> None:
    trainings.add("mine", str(tmp_path / "a"), helped)
    annotate(bench, grey, tmp_path / "a")
    assert bench.state.model == "default"
    assert ("“mine” learned from this project" in bench.state.message) == (helped != "worse")
    assert bool(bench.state.fitting) == (helped != "worse"), "but it can be chosen"


def test_what_the_user_chose_answers_and_that_another_model_fits_is_said_once(
    bench: Any, trainings: Trainings, grey: np.ndarray, tmp_path: Path
) -> None:
    trainings.add("mine", str(tmp_path / "a"), "better")
    bench.controller.choose_model("other")
    first = annotate(bench, grey, tmp_path / "a")
    assert bench.state.model == "other"
    said = "“mine” learned from this project, but “other” answers, as you chose it."
    assert bench.state.message == said
    annotate(bench, grey, tmp_path / "a")
    bench.state.message = ""
    bench.controller.choose(first)
    settle(bench)
    assert not bench.state.message


def test_the_users_model_answers_again_where_no_model_fits(
    bench: Any, trainings: Trainings, grey: np.ndarray, tmp_path: Path
) -> None:
    wanted = trainings.add("mine", str(tmp_path / "a"), "better")
    first = annotate(bench, grey, tmp_path / "a")
    for project in (tmp_path / "b", None):
        annotate(bench, grey, project)
        assert bench.state.model == "default" and not bench.state.fitting
        assert "“default” answers again" in bench.state.message
        bench.controller.choose(first)
        settle(bench)
        assert bench.state.model == wanted


def test_only_what_the_user_chose_is_remembered(
    bench: Any, trainings: Trainings, grey: np.ndarray, tmp_path: Path
) -> None:
    trainings.add("mine", str(tmp_path / "a"), "better")
    annotate(bench, grey, tmp_path / "a")
    assert bench.state.model != "default"
    bench.controller.close()
    assert bench.state.model == "default", "the settings are written from the state"


def test_a_model_that_was_trained_meanwhile_answers_on_the_next_image(
    bench: Any, trainings: Trainings, grey: np.ndarray, tmp_path: Path
) -> None:
    annotate(bench, grey, tmp_path / "a")
    assert bench.state.model == "default"
    wanted = trainings.add("mine", str(tmp_path / "a"), "better")
    annotate(bench, grey, tmp_path / "a")
    assert bench.state.model == wanted
