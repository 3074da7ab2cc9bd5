"""Going through a queue: what is corrected becomes the mask, and nothing of it is ever lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg._napari.project.image_layers import Capture
from napari_clickseg._napari.project.pairs import pairs_of
from napari_clickseg._napari.review.controller import ReviewController
from napari_clickseg._napari.review.drafts import place_of
from napari_clickseg._napari.review.navigator import NOT_YET
from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._napari.viewer.colours import BY_SCORE, same_colours
from napari_clickseg.data.annotations import Annotations, ObjectNote, read_clicks
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.pixel_size import PixelSize
from napari_clickseg.data.project import Record, read_folder, read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.util.files import PARTIAL
from tests.napari.annotate.test_gestures import PlaneCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_clickseg._napari.project.correction import Correction

SHAPE = (60, 80)
ON, OTHER, OFF = (15, 15), (40, 50), (5, 70)  # pixels of two predicted objects, and of none


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    for name in ("show_error", "show_info"):
        monkeypatch.setattr(f"napari_clickseg._napari.review.controller.{name}", said.append)
    return said


def prediction() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:20, 10:22] = 1
    labels[35:50, 40:60] = 2
    return labels


def picture(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An annotated image and three with predictions, c the most uncertain and a the least."""
    writer = ProjectWriter(tmp_path / "project")
    writer.set_classes(ProjectClasses(scheme="instances", classes=(one_class(1),)))
    writer.add("done", picture(0), prediction())
    for seed, name in enumerate("abc", 1):
        writer.add(name, picture(seed))
    propose(tmp_path / "project", a=0.1, b=0.2, c=0.3)
    return tmp_path / "project"


def one_class(identifier: int) -> ProjectClass:
    return ProjectClass(id=identifier, name=f"kind {identifier}")


def propose(folder: Path, labels: np.ndarray | None = None, **uncertainties: float) -> None:
    labels = prediction() if labels is None else labels
    for name, value in uncertainties.items():
        ReviewQueue(folder).propose(f"images/{name}.png", labels, model="m", uncertainty=value)


class Reviewer:
    """A viewer without a window, both controllers on it, and a user who reviews."""

    def __init__(self, bench: Any, home: Path) -> None:
        self.bench = bench
        self.controller = ReviewController(bench.viewer, lambda: bench.controller, home)
        self.state = self.controller.state

    def wait(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 240
        while not condition():
            assert time.monotonic() < end, self.state
            self.controller.deliver()
            self.bench.controller.deliver()
            time.sleep(0.001)

    def settle(self) -> None:
        runners = (self.controller.runner, self.controller.looker, self.bench.controller.runner)
        self.wait(lambda: all(runner.idle for runner in runners))

    def choose(self, project: Path) -> None:
        self.settle()
        self.controller.choose_project(str(project))
        self.look()

    def look(self) -> None:
        self.controller.poll()
        self.settle()

    def do(self, action: str) -> None:
        self.controller.do(Action(f"{action}_image"))
        self.settle()

    def close(self) -> None:
        self.controller.close()
        assert self.controller.runner.join(60) and self.controller.looker.join(60)
        for thread in threading.enumerate():  # which writes what was not on disk yet
            if thread.name == "napari-clickseg-last":
                thread.join(60)

    @property
    def current(self) -> str:
        return self.state.current.removeprefix("images/").removesuffix(".png")

    @property
    def labels(self) -> Any:
        """The labels that are shown, without an axis for channels."""
        image_layers = self.controller.images.image_layers
        assert image_layers is not None, self.state.message
        return image_layers.labels.data.reshape(image_layers.labels.data.shape[-2:])

    def paint(self, rows: slice, columns: slice, value: int) -> None:
        """Paint as napari's brush does: into the layer, undoable."""
        image_layers = self.controller.images.image_layers
        assert image_layers is not None
        index = np.nonzero(np.isin(np.arange(SHAPE[0]), np.r_[rows])[:, None]
                           & np.isin(np.arange(SHAPE[1]), np.r_[columns]))  # fmt: skip
        image_layers.labels.data_setitem(index, value)


@pytest.fixture
def make_reviewer(make_bench: Callable[..., Any], tmp_path: Path) -> Iterator[Any]:
    made: list[Reviewer] = []

    def make(viewer: Any = None) -> Reviewer:
        made.append(Reviewer(make_bench(viewer), tmp_path / "home"))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def reviewer(make_reviewer: Any, project: Path, told: list[str]) -> Reviewer:
    made: Reviewer = make_reviewer()
    made.choose(project)
    return made


def record(project: Path, name: str) -> Record | None:
    return next((r for r in read_project(project).records if r.name == f"images/{name}.png"), None)


def mask(project: Path, name: str) -> np.ndarray:
    row = record(project, name)
    assert row is not None
    return np.asarray(read_labels(row.mask))


def drafts(project: Path, home: Path) -> list[str]:
    return sorted(path.name[0] for path in place_of(home, project).glob("*.npz"))


# ---- the queue


def test_what_a_model_said_of_objects_is_shown_in_review_and_accepted_with_them(
    reviewer: Reviewer, project: Path
) -> None:
    notes = Annotations(
        classes={1: 1, 2: 1},
        objects={n: ObjectNote(score=n / 10, clicks=0, model="m") for n in (1, 2)},
    )
    ReviewQueue(project).propose(
        "images/c.png", prediction(), model="m", uncertainty=0.9, notes=notes
    )
    reviewer.look()
    reviewer.do("next")
    image_layers = reviewer.controller.images.image_layers
    assert reviewer.current == "c" and image_layers is not None
    assert image_layers.labels.features.set_index("index")["score"].to_dict() == {1: 0.1, 2: 0.2}
    own = image_layers.labels.colormap
    reviewer.bench.state.by_score = True
    assert image_layers.labels.colormap.name == BY_SCORE
    reviewer.bench.state.by_score = False
    assert same_colours(image_layers.labels.colormap, own)
    reviewer.paint(slice(0, 4), slice(0, 4), 9)
    reviewer.do("accept")
    accepted = record(project, "c")
    assert accepted is not None and accepted.clicks is not None
    said = read_clicks(accepted.clicks)
    assert said.objects == notes.objects and said.classes == notes.classes


def test_that_a_reviewed_image_is_complete_is_kept_and_accepted_with_its_mask(
    reviewer: Reviewer, project: Path
) -> None:
    def complete() -> bool | None:
        entry = ProjectWriter(project).entry("images/c.png")
        assert entry is not None
        return entry.complete

    reviewer.choose(project)
    reviewer.do("next")
    annotate = reviewer.bench.controller
    assert reviewer.current == "c" and annotate.state.complete is None
    annotate.mark_complete(True)
    reviewer.do("next")
    assert annotate.state.complete is None, "another image in the same layers"
    assert complete() is None, "it is not accepted yet"
    reviewer.do("previous")
    assert reviewer.current == "c" and annotate.state.complete is True
    reviewer.do("accept")
    assert complete() is True
    reviewer.controller.images.open("images/c.png")
    reviewer.settle()
    assert reviewer.current == "c" and annotate.state.complete is True
    annotate.mark_complete(False)
    reviewer.do("accept")
    assert complete() is False


def test_the_queue_and_the_counts_are_seen_at_once(reviewer: Reviewer, project: Path) -> None:
    ProjectWriter(project).add("d", picture(9))
    reviewer.look()
    assert [row.image[7] for row in reviewer.state.queue] == ["c", "b", "a"]
    counts = reviewer.state.counts
    assert (counts.annotated, counts.accepted, counts.waiting, counts.rejected) == (1, 0, 3, 0)
    assert (counts.left, counts.total) == (1, 5)


def test_next_opens_the_most_uncertain_and_then_the_others(reviewer: Reviewer) -> None:
    seen = []
    for _ in range(4):
        reviewer.do("next")
        seen.append(reviewer.current)
    assert seen == ["c", "b", "a", "c"]
    assert (reviewer.labels == prediction()).all()


def test_the_queue_fills_while_predicting_goes_on(reviewer: Reviewer, project: Path) -> None:
    ProjectWriter(project).add("d", picture(9))
    propose(project, d=0.9)
    reviewer.look()
    reviewer.do("next")
    assert reviewer.current == "d"


def test_the_layers_are_used_again_for_images_that_are_alike(reviewer: Reviewer) -> None:
    reviewer.do("next")
    layers = list(reviewer.bench.viewer.layers)
    reviewer.do("next")
    assert list(reviewer.bench.viewer.layers) == layers
    assert [layer.name for layer in layers][:2] == ["b", "b annotation"]
    assert (layers[0].data == picture(2)).all()


@pytest.mark.parametrize("kind", ["larger", "colour", "two channels"])
def test_images_of_any_kind_are_opened(kind: str, reviewer: Reviewer, project: Path) -> None:
    shape = {"larger": (90, 120), "colour": (*SHAPE, 3), "two channels": (*SHAPE, 2)}[kind]
    labels = np.zeros(shape[:2], np.uint8)
    labels[5:9, 5:9] = 4
    ProjectWriter(project).add("d", picture(9, shape))
    image = next(one.name for one in read_project(project).unannotated if "images/d" in one.name)
    ReviewQueue(project).propose(image, labels, model="m", uncertainty=0.25)
    reviewer.look()
    seen = []
    for _ in range(3):
        reviewer.do("next")
        seen.append(reviewer.state.current[7])
        if seen[-1] == "d":
            reviewer.bench.click(6, 6)
            assert reviewer.bench.state.editing
            assert (reviewer.labels == labels).all()
    assert seen == ["c", "d", "b"]
    assert (reviewer.labels == prediction()).all()
    assert len(reviewer.bench.viewer.layers) == 5


# ---- correcting


def test_a_click_on_an_object_takes_it_up_and_one_elsewhere_begins_another(
    reviewer: Reviewer, project: Path
) -> None:
    reviewer.do("next")
    reviewer.bench.click(*ON)
    assert reviewer.bench.state.editing and reviewer.bench.state.object_id == 1
    assert (reviewer.bench.mask == (prediction() == 1)).all(), "as it was predicted"
    reviewer.bench.click(8, 15)  # above it: correct it
    reviewer.bench.do("accept")
    assert reviewer.labels[8, 15] == 1
    reviewer.bench.click(*OFF)
    assert not reviewer.bench.state.editing and reviewer.bench.state.object_id == 3
    reviewer.bench.do("accept")
    made = np.array(reviewer.labels)
    assert made[OFF] == 3
    reviewer.do("accept")
    assert (mask(project, "c") == made).all()
    row = record(project, "c")
    assert row is not None and row.clicks is not None
    assert [click.object for click in read_clicks(row.clicks).clicks] == [1, 3]


def test_a_right_click_on_an_object_says_where_it_is_wrong(reviewer: Reviewer) -> None:
    reviewer.do("next")
    reviewer.bench.click(*ON, positive=False)
    assert reviewer.bench.state.editing
    assert (reviewer.bench.state.n_positive, reviewer.bench.state.n_negative) == (0, 1)
    assert not reviewer.bench.mask[ON]


def test_an_object_that_is_none_is_deleted_and_undo_brings_it_back(reviewer: Reviewer) -> None:
    reviewer.do("next")
    reviewer.bench.click(*ON)
    reviewer.bench.do("delete")
    assert sorted(np.unique(reviewer.labels)) == [0, 2]
    reviewer.bench.viewer.cursor.position = reviewer.bench.world(*OTHER)
    reviewer.bench.do("delete")
    assert not reviewer.labels.any()
    for _ in range(4):
        reviewer.bench.do("undo")
    assert (reviewer.labels == prediction()).all()
    assert not reviewer.bench.state.can_undo


def test_what_is_being_corrected_is_accepted_with_the_image(
    reviewer: Reviewer, project: Path
) -> None:
    reviewer.do("next")
    reviewer.bench.click(*OFF)
    reviewer.do("accept")
    assert mask(project, "c")[OFF] == 3
    assert reviewer.current == "b"


def test_an_object_that_was_only_looked_at_stays_as_it_was(
    reviewer: Reviewer, project: Path
) -> None:
    reviewer.do("next")
    reviewer.bench.click(*ON)
    reviewer.do("accept")
    assert (mask(project, "c") == prediction()).all()


def test_accepting_waits_for_the_answer_to_the_last_click(
    reviewer: Reviewer, project: Path, fake_model: Any
) -> None:
    reviewer.do("next")
    fake_model.gate.clear()
    reviewer.bench.click(*OFF, wait=False)
    reviewer.controller.do(Action.ACCEPT_IMAGE)
    assert record(project, "c") is None
    fake_model.gate.set()
    reviewer.settle()
    assert mask(project, "c")[OFF] == 3


@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 2)], ids=["grey", "two channels"])
def test_an_image_is_shown_and_accepted_in_the_pixel_size_that_its_project_states(
    reviewer: Reviewer, project: Path, shape: tuple[int, ...]
) -> None:
    """Beside the project's own layers napari warned of units that differ, and drew it elsewhere."""
    size = PixelSize(0.5, 0.25, "µm")
    made = ProjectWriter(project).add("sized", picture(7, shape), pixel_size=size, rgb=False)
    ReviewQueue(project).propose(made.name, prediction(), model="m", uncertainty=0.9)
    reviewer.look()
    reviewer.do("next")
    assert reviewer.state.current == made.name
    for layer in reviewer.bench.viewer.layers:
        assert [str(unit) for unit in layer.units[-2:]] == ["micrometer"] * 2, layer.name
        assert tuple(layer.scale[-2:]) == (0.5, 0.25), layer.name
    assert reviewer.bench.viewer.layers.extent.units is not None, "napari does not warn"
    reviewer.bench.click(*OFF)
    reviewer.do("accept")
    (accepted,) = [one for one in read_project(project).records if one.name == made.name]
    assert read_labels(accepted.mask)[OFF] == 3 and accepted.pixel_size == size


def test_ids_of_classes_stay_ids_of_classes(reviewer: Reviewer, project: Path) -> None:
    kinds = (one_class(3), one_class(7))
    ProjectWriter(project).set_classes(ProjectClasses(scheme="classes", classes=kinds))
    propose(project, np.where(prediction() > 0, 7, 0), c=0.9)
    reviewer.do("next")
    assert reviewer.bench.state.scheme == "classes"
    reviewer.bench.click(*ON)
    assert reviewer.bench.state.classes[reviewer.bench.state.class_index].identifier == 7
    reviewer.bench.do("delete")
    assert reviewer.labels[ON] == 0 and reviewer.labels[OTHER] == 7, "another piece stays"
    reviewer.bench.state.class_index = 0
    reviewer.bench.click(*OFF)
    reviewer.do("accept")
    assert mask(project, "c")[OFF] == 3


def test_where_a_project_does_not_say_what_ids_mean_its_masks_do(
    reviewer: Reviewer, project: Path
) -> None:
    (project / "classes.json").unlink()
    propose(project, np.where(prediction() > 0, 1, 0), c=0.9)
    reviewer.do("next")
    assert reviewer.bench.state.scheme == "classes", "one id in two pieces"
    reviewer.do("accept")
    assert not (project / "classes.json").exists()


def test_a_class_that_is_new_is_added_to_the_project(reviewer: Reviewer, project: Path) -> None:
    reviewer.do("next")
    reviewer.bench.controller.add_class("new", "#123456")
    reviewer.do("accept")
    classes = read_project(project).classes
    assert classes is not None and [one.name for one in classes.classes] == ["kind 1", "new"]


def test_a_prediction_under_review_is_not_learned_from(reviewer: Reviewer) -> None:
    reviewer.do("next")
    assert pairs_of(reviewer.bench.viewer) == ()


# ---- accepting, rejecting, going back


def test_accepting_goes_on_to_the_next_until_all_is_reviewed(
    reviewer: Reviewer, project: Path
) -> None:
    reviewer.do("next")
    for name in "cba":
        assert reviewer.current == name
        reviewer.do("accept")
    assert "All is reviewed" in reviewer.state.message
    assert len(read_project(project).records) == 4
    reviewer.look()
    assert (reviewer.state.counts.accepted, reviewer.state.counts.waiting) == (3, 0)


def test_an_image_that_is_still_being_opened_takes_nothing_of_one_that_is_accepted(
    reviewer: Reviewer, project: Path
) -> None:
    """After Next and Accept in one breath, the next image came in while this one was written."""
    reviewer.do("next")
    first, controller = reviewer.current, reviewer.controller
    reviewer.paint(slice(0, 3), slice(0, 3), 7)
    made = np.array(reviewer.labels)
    controller.do(Action.NEXT_IMAGE)
    controller.do(Action.ACCEPT_IMAGE)
    reviewer.settle()
    assert reviewer.current != first
    (row,) = [row for row in controller.state.queue if row.image == f"images/{first}.png"]
    assert (row.state, row.begun) == ("accepted", False)
    record = next(one for one in read_project(project).records if one.name == f"images/{first}.png")
    assert (read_labels(record.mask) == made).all()
    assert not any(row.begun for row in controller.state.queue)
    controller.do(Action.TAKE_BACK)
    reviewer.settle()
    assert reviewer.current == first and (reviewer.labels == made).all()


def test_a_rejected_image_can_be_annotated_by_hand_later(reviewer: Reviewer, project: Path) -> None:
    reviewer.do("next")
    reviewer.do("reject")
    assert reviewer.current == "b" and record(project, "c") is None
    reviewer.do("previous")
    assert reviewer.current == "c" and not reviewer.labels.any()
    reviewer.do("reject")
    assert "no prediction" in reviewer.state.message
    reviewer.bench.click(*OFF)
    reviewer.do("accept")
    assert mask(project, "c")[OFF] == 1


def test_an_accepted_image_can_be_corrected_again(reviewer: Reviewer, project: Path) -> None:
    reviewer.do("next")
    reviewer.do("accept")
    reviewer.do("previous")
    assert reviewer.current == "c" and "Accept it again" in reviewer.state.message
    reviewer.bench.click(*ON)
    reviewer.bench.do("delete")
    reviewer.do("accept")
    assert sorted(np.unique(mask(project, "c"))) == [0, 2]
    assert len(list((project / "masks").iterdir())) == 2


def test_what_is_accepted_twice_in_place_is_written_twice(
    reviewer: Reviewer, project: Path
) -> None:
    for name in "ab":
        ReviewQueue(project).reject(f"images/{name}.png")
    reviewer.look()
    reviewer.do("next")
    reviewer.do("accept")
    assert reviewer.current == "c", "nothing else is left"
    reviewer.bench.click(*OFF)
    reviewer.do("accept")
    assert mask(project, "c")[OFF] == 3


# ---- nothing is lost


def test_corrections_are_there_again_after_another_image(reviewer: Reviewer, project: Path) -> None:
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    made = np.array(reviewer.labels)
    reviewer.do("next")
    assert (reviewer.labels == prediction()).all()
    row = reviewer.state.row("images/c.png")
    assert row is not None and row.begun
    reviewer.do("previous")
    assert reviewer.current == "c" and (reviewer.labels == made).all()
    reviewer.do("accept")
    assert (mask(project, "c") == made).all()


def test_napari_can_not_undo_into_the_image_before(reviewer: Reviewer) -> None:
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    reviewer.do("next")
    image_layers = reviewer.controller.images.image_layers
    assert image_layers is not None
    image_layers.labels.undo()
    assert (reviewer.labels == prediction()).all()


def test_an_object_that_was_not_finished_is_gone_on_with(
    reviewer: Reviewer, make_reviewer: Any, project: Path
) -> None:
    reviewer.do("next")
    reviewer.bench.click(*ON)
    reviewer.bench.click(8, 15)
    mask_then = reviewer.bench.mask
    reviewer.do("next")
    assert reviewer.bench.mask is None
    reviewer.close()
    again = make_reviewer()
    again.choose(project)
    again.controller.images.open("images/c.png")
    again.settle()
    assert again.bench.state.editing and again.bench.state.n_positive == 1
    assert (again.bench.mask == mask_then).all()
    again.do("accept")
    assert mask(project, "c")[8, 15] == 1


def test_closing_writes_what_was_begun(
    reviewer: Reviewer, project: Path, tmp_path: Path, make_reviewer: Any
) -> None:
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    made = np.array(reviewer.labels)
    reviewer.close()
    end = time.monotonic() + 30
    while drafts(project, tmp_path / "home") != ["c"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    again = make_reviewer()
    again.choose(project)
    again.do("next")
    assert (again.labels == made).all()


def test_corrections_are_on_disk_soon_and_no_longer_than_needed(
    reviewer: Reviewer, project: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    reviewer.do("next")
    reviewer.controller.images.keep()
    reviewer.settle()
    assert drafts(project, home) == [], "nothing was corrected"
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    reviewer.controller.images.keep()
    reviewer.settle()
    assert drafts(project, home) == ["c"]
    reviewer.paint(np.s_[0:4], np.s_[0:5], 0)
    reviewer.controller.images.keep()
    reviewer.settle()
    assert drafts(project, home) == [], "all was taken back"
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    reviewer.do("accept")
    assert drafts(project, home) == []


def test_labels_that_nobody_changed_are_not_looked_through_again(
    reviewer: Reviewer, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    whole = Capture.correction

    def counted(capture: Capture) -> Correction:
        looks.append(capture)
        return whole(capture)

    monkeypatch.setattr(Capture, "correction", counted)

    def keep() -> int:
        looks.clear()
        reviewer.controller.images.keep()
        reviewer.settle()
        return len(looks)

    def hidden_and_painted() -> None:
        reviewer.controller.images.image_layers.labels.visible = False
        reviewer.paint(np.s_[6:8], np.s_[0:5], 9)

    reviewer.do("next")
    keep()
    for number, change in enumerate(
        (
            lambda: reviewer.paint(np.s_[0:4], np.s_[0:5], 9),
            lambda: (reviewer.bench.click(*OFF), reviewer.bench.do("accept")),
            lambda: reviewer.bench.do("undo"),
            lambda: reviewer.bench.click(*OTHER),  # what is begun is in the draft, too
            hidden_and_painted,
            lambda: reviewer.bench.do("undo"),
            lambda: [path.unlink() for path in place_of(tmp_path / "home", project).glob("*.npz")],
        )
    ):
        change()
        assert keep() == 1, number
        assert keep() == 0, number
        assert drafts(project, tmp_path / "home") == ["c"]
        assert reviewer.state.row("images/c.png").begun
    made = np.array(reviewer.labels)
    made[0, 70] = 1
    reviewer.labels[0, 70] = 1  # as a script does that draws nothing
    reviewer.do("next")
    assert reviewer.current == "b"
    reviewer.do("previous")
    assert (reviewer.labels == made).all()


def test_a_mask_that_appeared_meanwhile_is_kept_and_so_are_the_corrections(
    reviewer: Reviewer, project: Path, told: list[str]
) -> None:
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    made = np.array(reviewer.labels)
    theirs = prediction() * 0 + 5
    ProjectWriter(project).annotate("images/c.png", theirs)
    reviewer.do("accept")
    assert "annotated meanwhile" in reviewer.state.message and len(told) == 1
    assert (mask(project, "c") == theirs).all()
    assert reviewer.current == "c" and (reviewer.labels == made).all()
    reviewer.do("next")
    reviewer.do("previous")
    assert (reviewer.labels == theirs).all()
    beside = reviewer.bench.viewer.layers["c your corrections"]
    assert (beside.data == made).all() and not beside.visible
    reviewer.do("accept")
    assert (mask(project, "c") == theirs).all()


def test_a_mask_that_can_not_be_written_keeps_the_corrections(
    reviewer: Reviewer, project: Path, told: list[str]
) -> None:
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    made = np.array(reviewer.labels)
    index = (project / "index.csv").read_bytes()
    (project / "masks").rename(project / "elsewhere")
    (project / "masks").write_bytes(b"in the way")
    reviewer.do("accept")
    assert "masks cannot be read: Not a directory" in reviewer.state.message and len(told) == 1
    assert reviewer.current == "c" and (reviewer.labels == made).all()
    assert (project / "index.csv").read_bytes() == index
    image_layers = reviewer.controller.images.image_layers
    assert image_layers is not None
    image_layers.labels.undo()
    image_layers.labels.redo()
    assert (reviewer.labels == made).all()
    (project / "masks").unlink()
    (project / "elsewhere").rename(project / "masks")
    reviewer.do("accept")
    assert (mask(project, "c") == made).all()


def test_where_drafts_can_not_be_written_they_are_held(
    reviewer: Reviewer, tmp_path: Path, told: list[str]
) -> None:
    reviewer.do("next")
    shutil.rmtree(tmp_path / "home" / "review")
    (tmp_path / "home" / "review").write_bytes(b"in the way")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    made = np.array(reviewer.labels)
    reviewer.do("next")
    assert "can't be kept on disk" in told[-1]
    reviewer.do("previous")
    assert reviewer.current == "c" and (reviewer.labels == made).all()


def test_a_broken_draft_is_put_aside(reviewer: Reviewer, project: Path, tmp_path: Path) -> None:
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    reviewer.do("next")
    (draft,) = place_of(tmp_path / "home", project).glob("*.npz")
    draft.write_bytes(draft.read_bytes()[:200])
    reviewer.do("previous")
    assert (reviewer.labels == prediction()).all()
    assert draft.with_suffix(".broken").exists()


def test_layers_that_the_user_removes_take_nothing_with_them(
    reviewer: Reviewer, project: Path
) -> None:
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    made = np.array(reviewer.labels)
    reviewer.bench.viewer.layers.remove(reviewer.bench.viewer.layers["c annotation"])
    reviewer.settle()
    assert reviewer.current == "" and len(reviewer.bench.viewer.layers) == 0
    reviewer.controller.images.open("images/c.png")
    reviewer.settle()
    assert (reviewer.labels == made).all()


def test_another_project_leaves_this_one_as_it_was(
    reviewer: Reviewer, project: Path, tmp_path: Path
) -> None:
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    writer = ProjectWriter(tmp_path / "other")
    writer.add("x", picture(3))
    reviewer.choose(tmp_path / "other")
    assert reviewer.state.current == "" and reviewer.state.queue == ()
    assert reviewer.state.counts.left == 1
    reviewer.choose(project)
    reviewer.do("next")
    assert reviewer.labels[0, 0] == 9


# ---- what is wrong is said


def test_an_image_that_can_not_be_read_is_named(
    reviewer: Reviewer, project: Path, told: list[str]
) -> None:
    (project / "images" / "c.png").write_bytes(b"no picture")
    reviewer.do("next")
    assert "c.png cannot be read" in reviewer.state.message
    assert (reviewer.state.busy, reviewer.state.current) == ("", "")


def test_a_folder_that_is_no_project_is_said_to_be_none(reviewer: Reviewer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    reviewer.choose(tmp_path / "empty")
    assert "neither an index.csv" in reviewer.state.message


def test_what_is_said_of_the_queue_is_true_and_of_an_image_what_to_do_with_it(
    reviewer: Reviewer, project: Path
) -> None:
    reviewer.state.message = NOT_YET
    propose(project, a=0.15)
    reviewer.look()
    assert reviewer.state.message == ""
    reviewer.do("next")
    assert "Click on an object" in reviewer.state.message


def test_without_an_image_nothing_is_accepted(reviewer: Reviewer, project: Path) -> None:
    for action, text in (
        ("accept", "Open an image"),
        ("reject", "Open an"),
        ("previous", "no image"),
    ):
        reviewer.do(action)
        assert text in reviewer.state.message
    assert len(read_project(project).records) == 1


def test_a_model_that_needs_clicks_is_refused(reviewer: Reviewer) -> None:
    assert reviewer.state.model == "", "those there are came with the program"
    nuclei, default = reviewer.state.models
    assert nuclei.name == "nuclei" and nuclei.bundled and not nuclei.refusal
    reviewer.controller.choose_model(default.path)
    reviewer.settle()
    assert "needs clicks" in reviewer.state.message
    reviewer.controller.predict()
    reviewer.settle()
    assert "needs clicks" in reviewer.state.message
    assert not reviewer.state.predicting.alive


# ---- what is offered


def test_the_project_of_the_last_training_comes_first(
    make_reviewer: Any, project: Path, tmp_path: Path
) -> None:
    writer = ProjectWriter(tmp_path / "trained")
    writer.add("x", picture(3))
    first = make_reviewer()
    first.settle()
    assert first.state.project == ""
    first.choose(project)
    run = tmp_path / "home" / "runs" / "one"
    run.mkdir(parents=True)
    (run / "spec.json").write_text(f'{{"project": "{tmp_path / "trained"}"}}')
    second = make_reviewer()
    second.settle()
    assert second.state.project == str(tmp_path / "trained")
    second.choose(project)
    third = make_reviewer()
    third.settle()
    assert third.state.project == str(project), "used since"
    assert str(tmp_path / "trained") in third.state.projects


def test_a_model_that_was_trained_meanwhile_is_taken_unless_another_was_chosen(
    reviewer: Reviewer, tmp_path: Path, make_card: Callable[..., Any]
) -> None:
    import torch

    from napari_clickseg.models.checkpoint import save_model

    fields: dict[str, Any] = {"encoding": "image", "automatic": True}
    for age, name in ((20, "old"), (10, "new")):
        path = tmp_path / "home" / "runs" / name / "best.safetensors"
        path.parent.mkdir(parents=True)
        save_model(path, {"weight": torch.ones(1)}, make_card(**fields))
        os.utime(path, (time.time() - age,) * 2)
        reviewer.controller.refresh_offers()
        reviewer.settle()
        assert reviewer.state.model == str(path)
    assert [offer.name for offer in reviewer.state.models] == ["new", "old", "nuclei", "default"]
    reviewer.controller.choose_model(reviewer.state.models[1].path)
    reviewer.settle()
    os.utime(path)
    reviewer.controller.refresh_offers()
    reviewer.settle()
    assert reviewer.state.model.endswith("old/best.safetensors")


def test_a_project_that_is_open_as_layers_is_offered(make_reviewer: Any, project: Path) -> None:
    from napari_clickseg._napari.project.reader import open_project

    made = make_reviewer()
    data, options, _ = open_project(read_project(project))[0]
    made.bench.viewer.add_image(np.asarray(data), **options)
    made.controller.refresh_offers()
    made.settle()
    assert made.state.project == str(project)


def test_a_queue_that_makes_no_sense_is_said_to_make_none(
    reviewer: Reviewer, project: Path
) -> None:
    (project / "predictions" / "review.csv").write_text("name,age\n")
    reviewer.look()
    assert "lacks the columns" in reviewer.state.message


def test_opening_what_is_open_changes_nothing(make_reviewer: Any, project: Path) -> None:
    reviewer = make_reviewer()
    reviewer.choose(project)
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    made, image = reviewer.labels.copy(), reviewer.state.current
    for _ in range(2):
        reviewer.controller.images.open(image)
        reviewer.settle()
        np.testing.assert_array_equal(reviewer.labels, made)
        assert reviewer.bench.state.can_undo
        reviewer.controller.images.keep()
        reviewer.settle()
    reviewer.do("previous")
    assert reviewer.state.current == image and "no image before" in reviewer.state.message
    reviewer.close()
    again = make_reviewer()
    again.choose(project)
    again.controller.images.open(image)
    again.settle()
    np.testing.assert_array_equal(again.labels, made)


def test_an_image_that_was_annotated_meanwhile_is_opened_anew(
    make_reviewer: Any, project: Path, told: list[str]
) -> None:
    reviewer = make_reviewer()
    reviewer.choose(project)
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    made, image = reviewer.labels.copy(), reviewer.state.current
    elsewhere = np.full(SHAPE, 3, np.uint8)
    ProjectWriter(project).annotate(image, elsewhere)
    reviewer.do("accept")
    assert "annotated meanwhile" in told[-1]
    reviewer.controller.images.open(image)
    reviewer.settle()
    np.testing.assert_array_equal(reviewer.labels, elsewhere)
    (other,) = (layer for layer in reviewer.bench.viewer.layers if "corrections" in layer.name)
    np.testing.assert_array_equal(other.data.reshape(SHAPE), made)


def test_who_only_looks_leaves_the_draft_of_another_window_alone(
    make_reviewer: Any, project: Path, tmp_path: Path
) -> None:
    one, two = make_reviewer(), make_reviewer()
    for each in (one, two):
        each.choose(project)
        each.do("next")
    assert one.state.current == two.state.current
    assert "in another window" in two.state.message
    one.paint(np.s_[0:4], np.s_[0:5], 9)
    made = one.labels.copy()
    for each in (one, two, one):
        each.controller.images.keep()
        each.settle()
    two.close()
    one.close()
    assert not list(place_of(tmp_path / "home", project).glob("*.lock"))
    again = make_reviewer()
    again.choose(project)
    again.controller.images.open(one.state.current or "images/c.png")
    again.settle()
    np.testing.assert_array_equal(again.labels, made)


def test_what_two_windows_make_of_one_image_is_kept_of_both(
    make_reviewer: Any, project: Path
) -> None:
    one, two = make_reviewer(), make_reviewer()
    for each in (one, two):
        each.choose(project)
        each.do("next")
    one.paint(np.s_[0:4], np.s_[0:5], 9)
    two.paint(np.s_[50:54], np.s_[0:5], 7)
    made = [each.labels.copy() for each in (one, two)]
    for each in (two, one, two):
        each.controller.images.keep()
        each.settle()
    for each in (one, two):
        each.close()
    again = make_reviewer()
    again.choose(project)
    again.do("next")
    assert "another window" not in again.state.message
    np.testing.assert_array_equal(again.labels, made[0])
    (other,) = (layer for layer in again.bench.viewer.layers if "corrections" in layer.name)
    np.testing.assert_array_equal(other.data.reshape(SHAPE), made[1])


def test_the_second_goes_on_with_its_own_where_the_first_made_nothing(
    make_reviewer: Any, project: Path
) -> None:
    one, two = make_reviewer(), make_reviewer()
    for each in (one, two):
        each.choose(project)
        each.do("next")
    two.paint(np.s_[50:54], np.s_[0:5], 7)
    made = two.labels.copy()
    for each in (two, one):
        each.close()
    again = make_reviewer()
    again.choose(project)
    again.do("next")
    np.testing.assert_array_equal(again.labels, made)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"\x93NUMPY", b"PK\x03\x04" + bytes(60)],
    ids=["empty", "cut off", "an array", "an archive"],
)
def test_a_draft_that_can_not_be_read_is_put_aside_and_said(
    make_reviewer: Any, project: Path, tmp_path: Path, content: bytes
) -> None:
    reviewer = make_reviewer()
    reviewer.choose(project)
    reviewer.do("next")
    reviewer.paint(np.s_[0:4], np.s_[0:5], 9)
    reviewer.close()
    (draft,) = tmp_path.rglob("review/*/*.npz")
    draft.write_bytes(content)
    again = make_reviewer()
    again.choose(project)
    again.do("next")
    np.testing.assert_array_equal(again.labels, prediction())
    assert "can't be read" in again.state.message
    assert draft.with_suffix(".broken").read_bytes() == content


def test_what_killed_programs_left_beside_the_drafts_goes_at_the_next_opening(
    make_reviewer: Any, project: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    place = place_of(home, project)
    place.mkdir(parents=True)
    image = read_folder(project).rows[0].image
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from napari_clickseg._napari.review.drafts import DraftFile\n"
        "from napari_clickseg.util.files import begin\n"
        "file = DraftFile(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])\n"
        "file.claim()\n"
        "begin(file.path).write_bytes(b'half')\n"
        "os._exit(9)\n"
    )
    command = [sys.executable, "-c", program, str(home), str(project), image]
    assert subprocess.run(command, check=False).returncode == 9
    assert len(list(place.glob("*.lock"))) == len(list(place.glob(f"{PARTIAL}*"))) == 1
    reviewer = make_reviewer()
    reviewer.choose(project)
    reviewer.do("next")
    reviewer.close()
    assert not list(place.iterdir())


def test_an_accept_works_out_the_displayed_plane_once(
    reviewer: Reviewer, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the next image is shown in the same layers."""
    reviewer.choose(project)
    reviewer.do("next")
    first = reviewer.current
    counter = PlaneCounter(monkeypatch)
    assert counter.of(lambda: reviewer.do("accept"), reviewer) == 1
    assert reviewer.state.counts.accepted == 1 and reviewer.current != first
    assert counter.of(lambda: reviewer.do("accept"), reviewer) == 1
