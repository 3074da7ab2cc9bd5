"""The table of many objects is kept up, and no click waits for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.viewer import features
from napari_clickseg._napari.viewer.metadata import ObjectClasses, with_classes
from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = (30, 40), (80, 110)
MANY = 5000
CLASSES = ProjectClasses(classes=(ProjectClass(id=1, name="cell"),))


def _of_many(bench: Any, image: Any) -> Any:
    """Set an image up with labels of many objects, of which all is known."""
    notes = {one: ObjectNote(score=0.5, clicks=2, model="m") for one in range(10, MANY + 10)}
    known = with_classes(CLASSES, ObjectClasses(dict.fromkeys(notes, 1)))
    labels = bench.viewer.add_labels(
        np.zeros(image.shape, np.uint16), metadata=known | features.with_notes(notes)
    )
    layer = bench.viewer.add_image(image)
    bench.controller.adopt(layer, annotation=labels)
    bench.settle()
    return bench.state.annotation


def test_beyond_2000_objects_the_table_is_made_on_another_thread_and_kept_up(
    bench: Any, grey: Any, monkeypatch: Any
) -> None:
    layer = _of_many(bench, grey)
    made_on, real = [], features.features_of

    def noting(*given: Any) -> Any:
        made_on.append(threading.current_thread())
        return real(*given)

    monkeypatch.setattr(features, "features_of", noting)
    for n, place in enumerate((A, B), 1):
        bench.click(*place)
        bench.do("accept")
        table = layer.features.set_index("index")
        assert len(table) == MANY + n
        assert table["clicks"][bench.controller.pairing.scene.objects[-1].value] == 1
        assert table["class"][10] == "cell"
    bench.do("undo")
    assert len(layer.features) == MANY + 1
    assert threading.main_thread() not in made_on
    assert made_on


def test_a_table_that_comes_late_does_not_undo_what_the_user_wrote_meanwhile(
    bench: Any, grey: Any
) -> None:
    layer = _of_many(bench, grey)
    waiting: list[Any] = []
    notes = {one: ObjectNote(score=0.5) for one in range(1, MANY)}
    known = (CLASSES, {}, notes)
    features.show_features(layer, *known)
    notes = {**notes, MANY: ObjectNote(score=0.5)}
    known = (CLASSES, {}, notes)
    features.show_features(layer, *known, lambda make, show: waiting.append((make, show)))
    ((make, show),) = waiting
    layer.features = mine = layer.features.assign(mine=1)
    show(make())
    assert layer.features.equals(mine)
    features.show_features(layer, *known)
    assert set(layer.features["mine"].dropna()) == {1}
    assert len(layer.features) == MANY


def test_keeping_what_is_known_of_many_objects_takes_less_than_a_click_may(
    bench: Any, grey: Any, longest_slot: Callable[[Any], float]
) -> None:
    layer = _of_many(bench, grey)
    bound = longest_slot(bench.viewer)
    bench.click(*A)
    bench.do("accept")
    spent = []
    for _ in range(5):
        start = time.thread_time()
        bench.controller.identity.save()
        spent.append(time.thread_time() - start)
        bench.settle()
    assert len(layer.features) == MANY + 1
    assert min(spent) < bound
