"""All objects at once: new ones beside what is annotated, one step, in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from default_model.crowds import crowd
from napari_clickseg.core.instances.distances import object_distances
from napari_clickseg.evaluation.matching import match

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.engine.segmenter import Segmenter


@pytest.fixture
def teller(make_card: Callable[..., Any]) -> Segmenter:
    """A network that reads foreground and distances off the image's three channels."""
    import torch
    from torch import nn

    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ObjectsSpec

    class Told(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            distances = torch.logit(x[:, 1:3].clamp(1e-4, 1 - 1e-4))
            return torch.cat([20 * (x[:, :1] - 0.25), distances], 1)

    card = make_card(
        name="teller", encoding="image", automatic=True, schema_version=2, classes=("cell",),
        window={"zoom": 1.0}, objects=ObjectsSpec(smallest=1, span=26),
    )  # fmt: skip
    return Segmenter(Told(), card, device="cpu", half=False)


@pytest.fixture
def told(make_bench: Callable[..., Any], teller: Segmenter) -> tuple[Any, np.ndarray]:
    """A bench with that model, and the truth of the image that is open."""
    truth = crowd(3, 160)
    planes = [(truth > 0) * 0.5, *object_distances(truth)]
    bench = make_bench(model=None, load=lambda *_: teller)
    bench.open((255 * np.stack(planes, -1)).round().astype(np.uint8), rgb=True)
    return bench, truth


def find(bench: Any) -> None:
    bench.controller.find_all()
    bench.wait(lambda: not bench.state.finding)


def test_all_objects_are_found_beside_what_is_annotated_and_undone_in_one_step(
    told: tuple[Any, np.ndarray],
) -> None:
    bench, truth = told
    mine = int(np.bincount(truth.ravel())[1:].argmax()) + 1
    bench.labels[truth == mine] = 7
    before = np.array(bench.labels)
    find(bench)
    found = np.array(bench.labels)
    assert (found[before == 7] == 7).all(), "what is annotated stays"
    assert match(found, truth).pq > 0.85
    ids = np.unique(found[found > 0])
    assert bench.state.n_objects == len(ids) - 1
    assert f"{len(ids) - 1} objects found by 'teller', beside 1 object" in bench.state.message
    one = bench.pairing.scene.objects[0]
    assert one.note.model == "teller" and 0 < one.note.score <= 1 and one.note.clicks == 0
    find(bench)
    assert "finds nothing new here" in bench.state.message
    assert np.array_equal(bench.labels, found)
    bench.do("undo")
    assert np.array_equal(bench.labels, before)
    bench.do("redo")
    assert np.array_equal(bench.labels, found)


def test_where_ids_are_classes_all_that_is_found_gets_its_class(
    told: tuple[Any, np.ndarray],
) -> None:
    bench, _ = told
    bench.state.scheme = "classes"
    bench.controller.add_class("cell")
    bench.state.class_index = 0
    find(bench)
    assert set(np.unique(bench.labels)) == {0, bench.state.classes[0].identifier}


def test_what_is_begun_meanwhile_goes_on_and_stopping_changes_nothing(
    told: tuple[Any, np.ndarray],
) -> None:
    bench, truth = told
    before = np.array(bench.labels)
    bench.controller.find_all()
    assert bench.state.finding
    bench.controller.find_all()  # the button again
    assert not bench.state.finding and "nothing was changed" in bench.state.message
    bench.settle()
    bench.controller.deliver()
    assert np.array_equal(bench.labels, before)
    bench.controller.find_all()
    bench.labels[:80] = 40  # painted while it was looked for
    bench.wait(lambda: not bench.state.finding)
    assert (np.asarray(bench.labels)[:80] == 40).all()
    assert (np.asarray(bench.labels)[80:] > 0).sum() > 0.8 * (truth[80:] > 0).sum()


def test_without_a_model_that_tells_objects_apart_it_says_how_to_get_one(
    bench: Any, grey: np.ndarray, tmp_path: Path
) -> None:
    from napari_clickseg.models.fitting import TrainedModels

    bench.controller._all_objects._trained = TrainedModels(tmp_path)
    bench.controller.find_all()
    assert "Choose an image" in bench.state.message
    bench.open(grey)
    find(bench)
    assert "Train one" in bench.state.message and "task=instances" in bench.state.message


def test_a_trained_model_is_found_and_loaded(
    make_bench: Callable[..., Any], fake_model: Any, teller: Segmenter, tmp_path: Path
) -> None:
    """The clicks' model stays; the one that tells objects apart comes from the runs."""
    import torch

    from napari_clickseg.models.checkpoint import save_model
    from napari_clickseg.models.fitting import TrainedModels
    from napari_clickseg.models.network import build_network

    run = tmp_path / "runs" / "cells"
    run.mkdir(parents=True)
    card = teller.card
    torch.manual_seed(0)
    save_model(run / "best.safetensors", build_network(card).state_dict(), card)
    asked: list[str] = []

    def load(model: str, device: str, half: bool) -> Any:
        asked.append(model)
        return teller if model.endswith(".safetensors") else fake_model.load(model, device, half)

    bench = make_bench(model=None, load=load, trained=TrainedModels(tmp_path))
    truth = crowd(5, 120)
    planes = [(truth > 0) * 0.5, *object_distances(truth)]
    bench.open((255 * np.stack(planes, -1)).round().astype(np.uint8), rgb=True)
    find(bench)
    assert "found by 'cells'" in bench.state.message, bench.state.message
    find(bench)
    assert asked.count(str(run / "best.safetensors")) == 1, "it is loaded once"
