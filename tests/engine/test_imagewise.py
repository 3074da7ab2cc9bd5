"""Images of a project that are predicted by workers of a cluster."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
import torch

from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.engine.automatic import predict_rest
from napari_clickseg.engine.imagewise import BatchError, BatchSpec, predict_named
from napari_clickseg.models.checkpoint import save_model, sha256
from napari_clickseg.models.network import build_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.models.card import ModelCard

IMAGES = 30


@pytest.fixture
def model(tmp_path: Path, make_card: Callable[..., ModelCard]) -> Path:
    """A model with random weights that needs no click."""
    card = make_card(encoding="image", automatic=True, window={"size": 64, "zoom": 1.0})
    path = tmp_path / "tiny.safetensors"
    torch.manual_seed(0)
    save_model(path, build_network(card).state_dict(), card)
    return path


@pytest.fixture
def project(tmp_path: Path, make_project: Callable[..., Path]) -> Path:
    """A project whose first image alone is annotated."""
    folder = make_project(tmp_path / "project", IMAGES + 1)
    for number in range(1, IMAGES + 1):
        (folder / "masks" / f"{number}.png").unlink()
    return folder


def rows(project: Path) -> list[str]:
    """Return the image of each row of the table."""
    lines = (project / "predictions/review.csv").read_text().splitlines()
    return [line.split(",")[0] for line in lines[1:]]


def test_a_worker_with_another_file_for_the_model_says_so(project: Path, model: Path) -> None:
    spec = BatchSpec(str(project), str(model), "0" * 64, "cpu")
    with pytest.raises(BatchError, match="is another file on this worker"):
        predict_named(spec, "images/1.png")


def test_an_image_that_was_annotated_meanwhile_is_left_alone(project: Path, model: Path) -> None:
    spec = BatchSpec(str(project), str(model), sha256(model), "cpu")
    assert (
        predict_named(spec, "images/0.png").problem == "images/0.png is annotated by now, or gone."
    )
    assert predict_named(spec, "images/1.png").problem == ""
    assert rows(project) == ["images/1.png"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # distributed's own, of a worker that is gone
def test_a_worker_that_is_killed_loses_what_it_was_at_and_no_row(
    project: Path, model: Path
) -> None:
    from distributed import LocalCluster

    killed: list[int] = []
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_port=0
    ) as cluster:

        def kill_one(done: int, total: int) -> None:
            if done == 4 and not killed:
                killed.append(cluster.workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        result = predict_rest(
            project, model, device="cpu", scheduler=cluster.scheduler_address, on_image=kill_one
        )
    wanted = sorted(one.name for one in read_project(project).unannotated)
    assert killed and killed[0] != os.getpid()
    assert (result.problems, result.stopped) == ({}, False)
    assert sorted(result.predicted) == wanted
    there = rows(project)
    assert sorted(set(there)) == wanted
    assert len(there) <= IMAGES + 4, "others were predicted again, too"
    assert len(ReviewQueue(project).waiting()) == IMAGES
