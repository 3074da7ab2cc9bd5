"""All objects at once: new ones beside what is annotated, one step, in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from default_model.crowds import crowd
from napari_clickseg._napari.project.pairs import pairs_of
from napari_clickseg.core.instances.distances import object_distances
from napari_clickseg.evaluation.matching import match

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.engine.segmenter import Segmenter


@pytest.fixture
def teller(make_teller: Callable[..., Segmenter]) -> Segmenter:
    return make_teller("cell")


def opened(make_bench: Callable[..., Any], teller: Segmenter) -> tuple[Any, np.ndarray]:
    """Open an image that shows its truth, to be annotated with that model."""
    truth = crowd(3, 160)
    planes = [(truth > 0) * 0.5, *object_distances(truth)]
    bench = make_bench(model=None, load=lambda *_: teller)
    bench.open((255 * np.stack(planes, -1)).round().astype(np.uint8), rgb=True)
    return bench, truth


@pytest.fixture
def told(make_bench: Callable[..., Any], teller: Segmenter) -> tuple[Any, np.ndarray]:
    return opened(make_bench, teller)


def look(bench: Any) -> None:
    """Have all objects found and shown."""
    bench.controller.find_all()
    bench.wait(lambda: not bench.state.finding)


def keep(bench: Any) -> None:
    bench.do("accept")
    bench.wait(lambda: bench.state.new_objects is None)


def find(bench: Any) -> None:
    """Have all objects found, and keep them if there are some."""
    look(bench)
    if bench.state.new_objects is not None:
        keep(bench)


def preview_of(bench: Any) -> Any:
    return next((layer for layer in bench.viewer.layers if layer.name.endswith(" found")), None)


def test_all_objects_are_found_beside_what_is_annotated_and_undone_in_one_step(
    told: tuple[Any, np.ndarray],
) -> None:
    bench, truth = told
    mine = int(np.bincount(truth.ravel())[1:].argmax()) + 1
    bench.labels[truth == mine] = 7
    before = np.array(bench.labels)
    find(bench)
    labels = np.array(bench.labels)
    assert (labels[before == 7] == 7).all(), "what is annotated stays"
    assert match(labels, truth).pq > 0.85
    ids = np.unique(labels[labels > 0])
    assert bench.state.n_objects == len(ids) - 1
    assert f"{len(ids) - 1} objects of 'teller' kept, beside 1 object" in bench.state.message
    one = bench.pairing.scene.objects[0]
    assert one.note.model == "teller" and 0 < one.note.score <= 1 and one.note.clicks == 0
    find(bench)
    assert "finds nothing new here" in bench.state.message
    assert np.array_equal(bench.labels, labels)
    bench.do("undo")
    assert np.array_equal(bench.labels, before)
    bench.do("redo")
    assert np.array_equal(bench.labels, labels)


def test_what_is_found_is_shown_and_changes_nothing_until_it_is_kept(
    told: tuple[Any, np.ndarray],
) -> None:
    bench, truth = told
    look(bench)
    assert not bench.labels.any() and not bench.state.can_undo
    shown = np.asarray(preview_of(bench).data)
    assert match(shown.astype(np.int32), truth).pq > 0.85
    new = bench.state.new_objects
    assert new.new == len(np.unique(shown[shown > 0])) and new.known == 0
    assert not [pair for pair in pairs_of(bench.viewer) if pair.labels is preview_of(bench)]
    bench.do("clear")
    assert bench.state.new_objects is None and preview_of(bench) is None
    assert not bench.labels.any() and not bench.state.can_undo
    look(bench)
    bench.viewer.layers.remove(preview_of(bench))
    assert bench.state.new_objects is None, "who takes the layer away gives it up"


def test_other_rules_divide_what_was_found_without_the_network(
    told: tuple[Any, np.ndarray], teller: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_clickseg.engine.segmenter import Segmenter

    bench, truth = told
    look(bench)
    first, rules = bench.state.new_objects.new, teller.card.objects
    assert (bench.state.seed_height, bench.state.smallest) == (rules.seed_height, rules.smallest)

    def no_network(*_: Any) -> Any:
        raise AssertionError("the network was run again")

    monkeypatch.setattr(Segmenter, "look", no_network)
    bench.state.seed_height = 0.6
    assert bench.state.new_objects.dividing
    bench.controller.keep_new_objects()
    assert "being divided" in bench.state.message and not bench.labels.any()
    bench.wait(lambda: not bench.state.new_objects.dividing)
    assert bench.state.new_objects.new < first, "the higher, the less is told apart"
    bench.state.seed_height = rules.seed_height
    bench.state.smallest = smallest = int(np.median(np.bincount(truth.ravel())[1:]))
    bench.wait(lambda: not bench.state.new_objects.dividing)
    assert 0 < bench.state.new_objects.new < first
    keep(bench)
    areas = np.bincount(bench.labels.ravel())[1:]
    assert areas[areas > 0].min() >= smallest and bench.state.n_objects == (areas > 0).sum()
    bench.do("undo")
    assert not bench.labels.any()


def test_objects_are_looked_for_in_the_selected_rectangle_alone(
    told: tuple[Any, np.ndarray],
) -> None:
    bench, truth = told
    bench.state.search_in = "box"
    bench.controller.find_all()
    assert "Draw a rectangle" in bench.state.message and not bench.state.finding
    corners = [[20.0, 30.0], [20.0, 90.0], [80.0, 90.0], [80.0, 30.0]]
    away = [[400.0, 400.0], [400.0, 450.0], [450.0, 450.0], [450.0, 400.0]]
    shapes = bench.viewer.add_shapes([corners, away], shape_type="rectangle")
    shapes.selected_data = {1}
    bench.controller.find_all()
    assert "lies beside the image" in bench.state.message
    shapes.selected_data = {0}
    find(bench)
    labels, within = np.array(bench.labels), np.s_[20:81, 30:91]
    areas, inside = np.bincount(truth.ravel()), np.bincount(truth[within].ravel())
    inside = np.pad(inside, (0, len(areas) - len(inside)))
    wanted = [n for n in range(1, len(areas)) if inside[n] > 0.6 * areas[n]]
    others = [n for n in range(1, len(areas)) if inside[n] < 0.4 * areas[n]]
    assert len(wanted) > 2 and len(others) > 9
    for n in wanted:
        assert (labels[truth == n] > 0).mean() > 0.8, "also what reaches out of it, as a whole"
    assert (labels[np.isin(truth, others)] > 0).mean() < 0.2


def test_a_key_goes_from_the_least_certain_object_on_and_back(
    told: tuple[Any, np.ndarray],
) -> None:
    bench, _ = told

    def step(way: str) -> int:
        bench.do(way)
        bench.wait(lambda: bench.controller.listing.idle)
        (picked,) = bench.state.picked or (0,)
        return int(picked)

    find(bench)
    scores = {one.value: one.note.score for one in bench.pairing.scene.objects}
    order = sorted(scores, key=lambda value: (scores[value], value))
    assert [step("least_certain") for _ in range(3)] == order[:3]
    assert step("least_certain_back") == order[1]
    assert f"(2 of {len(order)})" in bench.state.message
    assert [step("least_certain_back") for _ in range(2)] == [order[0], order[-1]], "and round"
    bench.do("undo")
    assert step("least_certain") == 0 and "No object here has a score" in bench.state.message


def test_a_class_that_is_not_listed_is_added_and_never_taken_for_another(
    make_bench: Callable[..., Any], make_teller: Callable[..., Segmenter]
) -> None:
    bench, _ = opened(make_bench, make_teller("dark", "light", class_ids=(2, 1)))
    find(bench)
    listed = {one.name: one.identifier for one in bench.state.classes}
    assert listed == {"object": 1, "light": 3}, "1 is another class, and 2 the model's other one"
    assert {one.class_id for one in bench.pairing.scene.objects} == {3}


def test_where_ids_are_classes_what_is_found_gets_the_class_of_that_name_or_the_chosen_one(
    told: tuple[Any, np.ndarray],
) -> None:
    bench, _ = told
    bench.state.scheme = "classes"
    bench.controller.add_class("debris")
    find(bench)
    assert set(np.unique(bench.labels)) == {0, bench.state.current_class.identifier} == {0, 2}
    bench.do("undo")
    bench.controller.add_class("cell")
    bench.state.class_index = 0
    find(bench)
    assert set(np.unique(bench.labels)) == {0, 3}


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
    look(bench)
    bench.labels[:80] = 40  # painted while it was shown
    keep(bench)
    assert (np.asarray(bench.labels)[:80] == 40).all()
    assert (np.asarray(bench.labels)[80:] > 0).sum() > 0.8 * (truth[80:] > 0).sum()


def test_a_stray_right_click_does_not_stand_in_the_way_of_what_is_to_be_kept(
    told: tuple[Any, np.ndarray],
) -> None:
    bench, truth = told
    look(bench)
    bench.click(1, 1, positive=False)
    keep(bench)
    assert (np.asarray(bench.labels) > 0).sum() > 0.8 * (truth > 0).sum(), bench.state.message


def test_without_a_model_that_tells_objects_apart_it_says_how_to_get_one(
    bench: Any, grey: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_clickseg.models.trained_models import TrainedModels

    monkeypatch.setattr("napari_clickseg.models.registry.BUNDLED", tmp_path)
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path))
    bench.controller._all_objects._trained = TrainedModels(tmp_path)
    bench.controller.find_all()
    assert "Choose an image" in bench.state.message
    bench.open(grey)
    find(bench)
    assert "train one: under “Train”" in bench.state.message
    assert "“all objects, each its own”" in bench.state.message


def test_a_network_of_others_stands_in_its_place_or_says_why_it_does_not(
    make_bench: Callable[..., Any], make_teller: Callable[..., Segmenter]
) -> None:
    made = make_teller("cell")
    made.card = made.card.model_copy(update={"objects": None, "training": {}, "name": "unet"})
    bench, truth = opened(make_bench, made)
    bench.do("clear")  # what it finds without a click
    find(bench)
    assert "objects of 'unet' kept" in bench.state.message
    assert len(bench.pairing.scene.objects) > 5
    kept = np.array(bench.labels)
    assert np.array_equal(kept > 0, truth > 0)
    made.card = made.card.model_copy(update={"classes": ("cell", "bud")})
    look(bench)
    assert "answers with 2 classes (cell, bud)" in bench.state.message
    assert bench.state.new_objects is None and np.array_equal(bench.labels, kept)


def test_a_trained_model_is_found_and_loaded(
    make_bench: Callable[..., Any], fake_model: Any, teller: Segmenter, tmp_path: Path
) -> None:
    """The clicks' model stays; the one that tells objects apart comes from the runs."""
    import torch

    from napari_clickseg.models.checkpoint import save_model
    from napari_clickseg.models.network import build_network
    from napari_clickseg.models.trained_models import TrainedModels

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
    assert "of 'cells' kept" in bench.state.message, bench.state.message
    find(bench)
    assert asked.count(str(run / "best.safetensors")) == 1, "it is loaded once"
