"""From clicks to masks: in order, the latest wins, and nothing is lost when the model fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.engine.segmenter import Prediction


@pytest.fixture
def shown(bench: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """Everything that the prediction layer was made to show: prompt and prediction."""
    from napari_clickseg._napari.annotate.display import Display

    seen: list[tuple[Any, Any]] = []
    real = Display.show

    def show(self: Any, state: Any, plane: Any, prompt: Any, prediction: Prediction) -> None:
        seen.append((prompt, prediction))
        real(self, state, plane, prompt, prediction)

    monkeypatch.setattr(Display, "show", show)
    return seen


def one_by_one(model: Any, image: np.ndarray, clicks: list[tuple[int, int, bool]]) -> np.ndarray:
    """Return the mask after clicks that were each answered before the next was made."""
    from napari_clickseg.engine.segmenter import Segmenter

    session = Segmenter(model._network(), model.card, device="cpu").start(image)
    for click in clicks:
        session.click(*click)
        session.predict()
    return np.asarray(session.predict().mask)


def test_a_click_shows_its_object(bench: Any, grey: np.ndarray, fake_model: Any) -> None:
    bench.open(grey)
    bench.click(60, 80)
    assert bench.mask is not None and bench.mask[60, 80] and not bench.mask[10, 10]
    prediction = bench.state.prediction
    np.testing.assert_array_equal(prediction.data, bench.mask.astype(np.uint8))
    np.testing.assert_array_equal(bench.mask, one_by_one(fake_model, grey, [(60, 80, True)]))
    assert not bench.state.busy and bench.state.message == ""


def test_left_is_positive_right_is_negative_and_swapping_turns_it_round(
    bench: Any, grey: np.ndarray
) -> None:
    bench.open(grey)
    bench.click(60, 80)
    bench.click(60, 90, positive=False)
    assert not bench.mask[60, 90]
    bench.do("swap")
    bench.click(20, 20, positive=False)
    bench.click(60, 70)
    assert [c.positive for c in bench.controller.prompt().clicks] == [True, False, True, False]
    np.testing.assert_allclose(bench.state.positive.data, [[60, 80], [20, 20]])
    np.testing.assert_allclose(bench.state.negative.data, [[60, 90], [60, 70]])
    assert (bench.state.n_positive, bench.state.n_negative) == (2, 2)


def test_a_double_click_is_one_click(bench: Any, grey: np.ndarray, fake_model: Any) -> None:
    bench.open(grey)
    bench.click(60, 80)
    forwards = fake_model.forwards
    bench.click(60.2, 79.9)
    assert len(bench.controller.prompt().clicks) == 1 and fake_model.forwards == forwards
    bench.do("undo")
    assert not bench.state.can_undo


def test_a_pixel_may_change_its_mind_and_back(bench: Any, grey: np.ndarray) -> None:
    """The second of two clicks on a pixel counts; so does a third."""
    bench.open(grey)
    bench.click(60, 80)
    bench.click(60, 80, positive=False)
    assert not bench.mask[60, 80]
    bench.click(60, 80)
    assert len(bench.controller.prompt().clicks) == 3 and bench.mask[60, 80]


def test_clicks_made_while_the_model_loads_are_answered_when_it_is_there(
    make_bench: Callable[..., Any], fake_model: Any, grey: np.ndarray
) -> None:
    fake_model.load_gate.clear()
    bench = make_bench()
    image = bench.viewer.add_image(grey)
    bench.controller.set_up(image)
    assert bench.state.model_status == "loading"
    bench.click(60, 80, wait=False)
    bench.click(20, 30, wait=False)
    assert bench.state.busy and bench.mask is None and bench.state.n_positive == 2
    fake_model.load_gate.set()
    bench.settle()
    assert bench.state.model_status == "ready" and "tiny on cpu" in bench.state.model_text
    assert bench.mask[60, 80] and bench.mask[20, 30] and not bench.state.busy


def test_quick_clicks_on_a_slow_model_show_one_result_and_it_is_the_right_one(
    bench: Any, grey: np.ndarray, fake_model: Any, shown: list[tuple[Any, Any]]
) -> None:
    """Thirty clicks at once: few answers, none of them old, and the last as if one by one."""
    bench.open(grey)
    random = np.random.default_rng(3)
    clicks = [
        (
            int(random.integers(120)),
            int(random.integers(160)),
            bool(i == 0 or random.random() < 0.7),
        )
        for i in range(30)
    ]
    fake_model.delay = 0.02
    fake_model.gate.clear()
    for click in clicks:
        bench.click(*click, wait=False)
        bench.controller.deliver()
        assert bench.state.busy
    fake_model.gate.set()
    bench.settle()
    assert 1 <= len(shown) <= 3, "The clicks were made quicker than any answer."
    prompt, prediction = shown[-1]
    assert prompt == bench.controller.prompt() and len(prompt.clicks) == 30
    np.testing.assert_array_equal(prediction.mask, one_by_one(fake_model, grey, clicks))
    np.testing.assert_array_equal(bench.state.prediction.data, prediction.mask)


def test_an_old_answer_is_never_shown(
    bench: Any, grey: np.ndarray, fake_model: Any, shown: list[tuple[Any, Any]]
) -> None:
    """Whenever answers come: what is shown answers what is there at that moment."""
    from napari_clickseg._napari.annotate.display import Display

    bench.open(grey)
    real, prompts = Display.show, []

    def show(self: Any, state: Any, plane: Any, prompt: Any, prediction: Any) -> None:
        prompts.append((prompt, bench.controller.prompt()))
        real(self, state, plane, prompt, prediction)

    Display.show = show  # type: ignore[method-assign]  # the fixture puts it back
    fake_model.delay = 0.003
    random = np.random.default_rng(4)
    for _ in range(60):
        bench.click(int(random.integers(120)), int(random.integers(160)), wait=False)
        if random.random() < 0.2:
            bench.do("undo", wait=False)
        time.sleep(float(random.random()) * 0.01)
        bench.controller.deliver()
    bench.settle()
    assert prompts and all(answered == present for answered, present in prompts)


def test_a_failing_model_is_reported_once_and_the_clicks_stay(
    bench: Any, grey: np.ndarray, fake_model: Any, notifications: list[str]
) -> None:
    bench.open(grey)
    bench.click(60, 80)
    before = bench.mask
    fake_model.error = RuntimeError("CUDA out of memory.\nTried to allocate 178 GB")
    bench.click(20, 30)
    bench.click(100, 30)
    assert len(notifications) == 1 and "\n" not in notifications[0]
    assert "out of memory" in notifications[0] and "clicks are kept" in notifications[0]
    assert bench.state.message == notifications[0] and not bench.state.busy
    assert bench.state.n_positive == 3
    np.testing.assert_array_equal(bench.mask, before)
    fake_model.error = None
    bench.click(100, 100)
    assert all(bench.mask[at] for at in ((60, 80), (20, 30), (100, 30), (100, 100)))
    assert bench.state.message == ""
    fake_model.error = RuntimeError("CUDA out of memory.\nTried to allocate 178 GB")
    bench.click(10, 10)
    assert len(notifications) == 2, "It worked in between, so this is news."


def test_another_model_answers_the_same_clicks(
    bench: Any, grey: np.ndarray, fake_model: Any
) -> None:
    bench.open(grey)
    bench.click(60, 80)
    before, forwards = bench.mask, fake_model.forwards
    bench.controller.load_model()
    assert bench.state.model_status == "loading" and bench.state.busy
    bench.settle()
    assert fake_model.loads == 2 and fake_model.forwards > forwards
    assert not bench.state.busy
    np.testing.assert_array_equal(bench.mask, before)
    first, second = fake_model.segmenters
    with pytest.raises(RuntimeError, match="closed"):
        first.forward(np.zeros((4, 64, 64), np.float32))
    assert bench.controller.segmenter is second


def test_models_chosen_one_after_the_other_are_all_freed_but_the_last(
    bench: Any, grey: np.ndarray, fake_model: Any
) -> None:
    bench.open(grey)
    fake_model.load_gate.clear()
    for _ in range(4):
        bench.controller.load_model()
    bench.click(60, 80, wait=False)
    fake_model.load_gate.set()
    bench.settle()
    assert bench.controller.segmenter is fake_model.segmenters[-1]
    assert all(one._network is None for one in fake_model.segmenters[:-1])
    assert bench.mask[60, 80]


def test_a_model_that_is_exchanged_while_it_works_does_not_leave_its_session(
    bench: Any, grey: np.ndarray, fake_model: Any, notifications: list[str]
) -> None:
    """The click is answered by the new model; the old one's session is not used again."""
    bench.open(grey)
    fake_model.gate.clear()
    bench.click(60, 80, wait=False)
    bench.wait(lambda: fake_model.gate and bench.controller.runner.active("predict"))
    bench.controller.load_model()
    fake_model.gate.set()
    bench.settle()
    bench.click(20, 30)
    assert bench.mask[60, 80] and bench.mask[20, 30] and notifications == []


def test_a_model_that_cannot_be_loaded_is_said_and_another_may_be_chosen(
    make_bench: Callable[..., Any], fake_model: Any, grey: np.ndarray, notifications: list[str]
) -> None:
    fake_model.load_error = ValueError("There is no model 'x'; choose one of default.")
    bench = make_bench()
    image = bench.viewer.add_image(grey)
    bench.controller.set_up(image)
    bench.click(60, 80)
    assert bench.state.model_status == "failed" and not bench.state.busy
    assert "choose one of default" in bench.state.model_text
    assert notifications == ["There is no model 'x'; choose one of default."]
    bench.do("accept")
    assert not bench.labels.any()
    fake_model.load_error = None
    bench.controller.load_model()
    bench.settle()
    assert bench.state.model_status == "ready" and bench.mask[60, 80]


@pytest.mark.parametrize(
    ("field", "value"),
    [("threshold", 0.9), ("smooth", 2.0), ("fill_holes", True), ("keep_clicked", True)],
)
def test_changing_how_the_mask_is_made_runs_no_network(
    bench: Any, grey: np.ndarray, fake_model: Any, shown: list[Any], field: str, value: Any
) -> None:
    bench.open(grey)
    bench.click(60, 80)
    forwards, answers = fake_model.forwards, len(shown)
    setattr(bench.state, field, value)
    bench.settle()
    assert fake_model.forwards == forwards and len(shown) == answers + 1


def test_the_threshold_changes_the_mask(
    make_bench: Callable[..., Any], bright_segmenter: Any
) -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    bench = make_bench(model=None, load=lambda *_: bright_segmenter())
    bench.open(ramp)
    bench.click(100, 190)
    areas = []
    for threshold in (0.1, 0.5, 0.9):
        bench.state.threshold = threshold
        bench.settle()
        areas.append(int(bench.mask.sum()))
    assert areas[0] > areas[1] > areas[2] > 0


def test_clicks_belong_to_their_plane(bench: Any) -> None:
    bench.open(np.random.default_rng(0).random((3, 60, 60)))
    bench.viewer.dims.set_point(0, 0)
    bench.click(20, 20)
    first = bench.mask
    bench.viewer.dims.set_point(0, 2)
    bench.settle()
    assert bench.mask is None and bench.state.n_positive == 0 and bench.state.plane == 2
    bench.click(40, 40)
    assert not bench.mask[20, 20]
    assert not bench.state.prediction.data[:2].any()
    bench.viewer.dims.set_point(0, 0)
    bench.settle()
    np.testing.assert_array_equal(bench.mask, first)
    assert not bench.state.prediction.data[1:].any()


def test_undo_goes_back_to_the_plane_where_it_happened(bench: Any) -> None:
    bench.open(np.random.default_rng(0).random((3, 60, 60)), scale=(4, 1, 1), translate=(9, 0, 0))
    bench.viewer.dims.set_point(0, 9)
    bench.click(20, 20)
    bench.viewer.dims.set_point(0, 17)
    bench.do("undo")
    assert bench.state.plane == 0 and bench.state.n_positive == 0
    bench.viewer.dims.set_point(0, 13)
    bench.do("redo")
    assert bench.state.plane == 0 and bench.mask[20, 20]


def test_naparis_own_tools_update_the_prediction(bench: Any, grey: np.ndarray) -> None:
    bench.open(grey)
    points = bench.state.positive
    points.add([60, 80])
    bench.settle()
    assert bench.mask[60, 80]
    points.add([20, 30])
    points.selected_data = {0}
    points.remove_selected()
    bench.settle()
    assert bench.mask[20, 30] and not bench.mask[60, 80]
    bench.state.negative.add([20, 30])
    bench.settle()
    assert not bench.mask[20, 30]
    for _ in range(3):
        bench.do("undo")
    assert bench.mask[60, 80] and len(points.data) == 1


def test_the_probability_is_shown_on_demand(bench: Any, grey: np.ndarray) -> None:
    bench.open(grey, scale=(2, 2))
    bench.click(60, 80)
    n = len(bench.viewer.layers)
    bench.do("probability")
    layer = bench.pairing.display.probability.layer
    assert len(bench.viewer.layers) == n + 1 and layer in bench.viewer.layers
    np.testing.assert_array_equal(layer.data, bench.pairing.display.prediction.probability)
    bench.click(20, 30)
    assert layer.data[20, 30] > 0.5
    bench.do("probability")
    assert layer not in bench.viewer.layers and len(bench.viewer.layers) == n
    bench.do("probability")
    assert bench.pairing.display.probability.layer.data[20, 30] > 0.5
    bench.viewer.layers.remove(bench.pairing.display.probability.layer)
    assert not bench.state.probability
    bench.click(100, 100)
    assert bench.mask[100, 100]


def test_drawing_is_a_matter_of_taste(bench: Any, grey: np.ndarray) -> None:
    bench.open(grey)
    layer = bench.state.prediction
    looks = []
    for _ in range(3):
        looks.append((layer.visible, layer.contour > 0))
        bench.do("show")
    assert looks == [(True, False), (True, True), (False, False)] and layer.visible
    bench.state.opacity = 0.3
    bench.state.click_size = 17
    assert layer.opacity == pytest.approx(0.3)
    for points in (bench.state.positive, bench.state.negative):
        assert tuple(points.canvas_size_limits) == (2, 17)
    bench.controller.rename_class(0, "cell", "#0072B2")
    np.testing.assert_allclose(layer.get_color(1)[:3], np.array([0, 0x72, 0xB2]) / 255, atol=1e-3)


def test_the_model_may_see_what_the_user_sees(
    make_bench: Callable[..., Any], bright_segmenter: Any
) -> None:
    """With the layer's contrast: what is dark to the user is dark to the model, at once."""
    image = np.zeros((60, 60))
    image[:, 20:40], image[:, 40:] = 0.3, 1
    bench = make_bench(model=None, load=lambda *_: bright_segmenter())
    layer = bench.open(image)
    bench.click(30, 50)
    assert not bench.mask[30, 30]
    bench.state.contrast_from_layer = True
    bench.settle()
    assert not bench.mask[30, 30]
    layer.contrast_limits = (0, 0.4)
    bench.settle()
    assert bench.mask[30, 30] and not bench.mask[30, 10]
    bench.state.contrast_from_layer = False
    bench.settle()
    assert not bench.mask[30, 30]


def test_other_data_in_the_layer_is_what_the_model_sees(
    make_bench: Callable[..., Any], bright_segmenter: Any
) -> None:
    image = np.zeros((60, 60))
    image[:, 40:] = 1
    bench = make_bench(model=None, load=lambda *_: bright_segmenter())
    layer = bench.open(image)
    bench.click(30, 50)
    assert bench.mask[10, 45] and not bench.mask[10, 10]
    layer.data = image[:, ::-1].copy()
    bench.settle()
    assert bench.mask[10, 10] and not bench.mask[10, 45]


def test_what_the_model_sees_can_be_shown(bench: Any, grey: np.ndarray) -> None:
    image = bench.open(grey.astype(np.uint16), name="Image", scale=(2, 3), translate=(5, 6))
    active = bench.viewer.layers.selection.active
    bench.controller.show_seen()
    bench.settle()
    layer = bench.viewer.layers["Image as the model sees it"]
    assert layer.data.shape == grey.shape and 0 <= layer.data.min() < layer.data.max() <= 1
    assert tuple(layer.contrast_limits) == (0, 1)
    np.testing.assert_allclose(layer.data_to_world((7, 9)), image.data_to_world((7, 9)))
    assert bench.viewer.layers.selection.active == active


def test_channels_are_seen_together(make_bench: Callable[..., Any], make_card: Any) -> None:
    """An axis of channels is no stack: one annotation for all, the model gets all of them."""
    bench = make_bench()
    data = np.random.default_rng(0).random((2, 60, 70))
    image = bench.viewer.add_image(data, scale=(5, 2, 2))
    bench.state.channel_axis = 0
    bench.controller.set_up(image)
    bench.settle()
    assert bench.labels.shape == (1, 60, 70) and bench.state.planes == 1
    bench.click(30, 40)
    bench.viewer.dims.set_point(0, 5)
    bench.settle()
    assert bench.mask[30, 40] and bench.state.n_positive == 1
    bench.click(10, 10)
    bench.do("accept")
    assert bench.labels[0, 30, 40] == 1 and bench.labels[0, 10, 10] == 1


def test_naming_the_channels_later_begins_with_new_layers(bench: Any) -> None:
    """What was made before stays in the viewer; nothing is left half done."""
    image = bench.open(np.random.default_rng(0).random((2, 60, 70)))
    bench.click(30, 40)
    bench.do("accept")
    old = bench.state.annotation
    bench.state.channel_axis = 0
    bench.settle()
    assert bench.state.annotation != old and old in bench.viewer.layers and old.data.any()
    assert sum("prediction" in layer.name for layer in bench.viewer.layers) == 1
    assert bench.labels.shape == (1, 60, 70) and len(bench.controller.pairings) == 1
    bench.click(30, 40)
    assert bench.mask[30, 40]
    bench.state.channel_axis = 2
    assert bench.state.image == image and "channels on a slider" in bench.state.message
    bench.click(10, 10)
    assert bench.mask[10, 10] and bench.labels.shape == (1, 60, 70)


def test_layers_that_were_never_used_go_when_the_channels_are_named(bench: Any) -> None:
    bench.open(np.random.default_rng(0).random((2, 60, 70)))
    bench.state.channel_axis = 0
    bench.settle()
    assert len(bench.viewer.layers) == 5
    assert all(layer in bench.viewer.layers for layer in bench.pairing.layers())


def test_colour_images_are_seen_in_colour(bench: Any) -> None:
    data = np.random.default_rng(0).integers(0, 255, (2, 60, 70, 4)).astype(np.uint8)
    bench.open(data, rgb=True)
    assert bench.labels.shape == (2, 60, 70)
    bench.viewer.dims.set_point(0, 1)
    bench.click(30, 40)
    assert bench.mask[30, 40] and "alpha" in bench.state.message


@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_lazy_images_are_read_in_the_background(bench: Any, kind: str) -> None:
    import dask.array as da
    import zarr

    data = np.random.default_rng(0).random((3, 60, 70))
    lazy = da.from_array(data, chunks=(1, 30, 30)) if kind == "dask" else zarr.array(data)
    bench.open(lazy, contrast_limits=(0, 1))
    bench.click(30, 40)
    assert bench.mask[30, 40]


def test_pyramids_are_taken_as_they_are(bench: Any) -> None:
    data = np.random.default_rng(0).random((512, 640))
    image = bench.open([data, data[::2, ::2], data[::4, ::4]], multiscale=True)
    assert bench.labels.shape == (512, 640) and image.multiscale
    bench.click(300, 400)
    assert bench.mask[300, 400]
    bench.do("accept")
    assert bench.labels[300, 400] == 1
