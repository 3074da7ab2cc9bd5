"""Going through a folder: what is made of each image is saved, comes back, and is never lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from skimage.io import imsave

from napari_clickseg._napari.folder.controller import FolderController
from napari_clickseg._napari.project.saving import unsaved_by_layer
from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg.data.annotations import read_clicks
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import Record, read_project
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHAPE = (60, 80)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr("napari_clickseg._napari.folder.controller.show_error", said.append)
    return said


def picture(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Five images in no project; the order of their names is 1, 2, 3, 4, 10."""
    folder = tmp_path / "raw" / "images"
    folder.mkdir(parents=True)
    for n in (1, 2, 3, 4, 10):
        imsave(folder / f"img{n}.png", picture(n), check_contrast=False)
    return folder


class Walker:
    """A viewer without a window, a folder, and a user who goes through it."""

    def __init__(self, bench: Any, home: Path, where: Path) -> None:
        self.bench, self.asked = bench, 0
        self.answer = str(where)
        self.folder = FolderController(bench.viewer, bench.controller, home, self._ask)
        self.state = self.folder.state

    def _ask(self, folder: Path, then: Callable[[str], None]) -> None:
        self.asked += 1
        then(self.answer)

    def settle(self) -> None:
        end = time.monotonic() + 120
        controller, autosave = self.bench.controller, self.bench.controller.autosave
        for _ in range(2):
            while not (self.folder.runner.idle and controller.runner.idle):
                assert time.monotonic() < end, self.state
                self.folder.deliver()
                controller.deliver()
                time.sleep(0.001)
            assert autosave.flush()
            controller.deliver()

    def open(self, folder: Path) -> None:
        self.folder.open_folder(str(folder))
        self.settle()

    def do(self, action: Action) -> None:
        self.folder.do(action)
        self.settle()

    def next(self) -> None:
        self.do(Action.NEXT_IMAGE)

    def back(self) -> None:
        self.do(Action.PREVIOUS_IMAGE)

    def make(self, y: float, x: float) -> None:
        """Accept an object."""
        self.bench.click(y, x)
        self.bench.do("accept")

    @property
    def current(self) -> str:
        return Path(self.state.current).stem

    @property
    def states(self) -> dict[str, str]:
        return {row.name: row.state for row in self.state.rows}

    @property
    def labels(self) -> np.ndarray:
        assert self.folder.image_layers is not None, self.state.message
        return np.asarray(self.folder.image_layers.labels.data).reshape(SHAPE)

    def close(self) -> None:
        self.folder.close()
        for thread in threading.enumerate():
            if thread.name == "napari-clickseg-last":
                thread.join(60)
        self.bench.controller.close()

    def crash(self) -> None:
        """End as a killed program does: nothing is saved, but locks are the system's."""
        autosave = self.bench.controller.autosave
        assert autosave.flush()
        for recorder in autosave._recorders.values():
            if recorder._place is not None:
                recorder._place.release()
        self.folder.image_layers = None


@pytest.fixture
def make_walker(make_bench: Any, tmp_path: Path) -> Iterator[Callable[..., Walker]]:
    made: list[Walker] = []

    def make(viewer: Any = None) -> Walker:
        bench = make_bench(viewer, home=tmp_path / "home")
        made.append(Walker(bench, tmp_path / "home", tmp_path / "masks of raw"))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def walker(make_walker: Callable[..., Walker]) -> Walker:
    return make_walker()


def entry(project: Path, name: str) -> Record | None:
    return next((r for r in read_project(project).records if Path(r.name).stem == name), None)


def mask(project: Path, name: str) -> np.ndarray:
    row = entry(project, name)
    assert row is not None, name
    return np.asarray(read_labels(row.mask))


def files(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


def test_what_is_made_of_each_image_is_saved_as_it_is_left_and_comes_back_with_undo(
    walker: Walker, raw: Path, tmp_path: Path
) -> None:
    before = files(raw.parent)
    walker.open(raw)
    assert [row.name for row in walker.state.rows] == ["img1", "img2", "img3", "img4", "img10"]
    walker.make(20, 20)
    walker.make(40, 60)
    walker.bench.click(10, 70)  # begun, not accepted
    scene, labels = walker.bench.pairing.scene, walker.labels.copy()
    walker.next()
    assert walker.current == "img2" and not walker.labels.any()
    assert walker.bench.pairing.untouched and not unsaved_by_layer(walker.bench.viewer)
    walker.make(30, 30)
    walker.next()
    project = tmp_path / "masks of raw"
    assert np.array_equal(mask(project, "img1"), labels)
    noted = entry(project, "img1")
    assert noted is not None and noted.clicks is not None and noted.complete is False
    assert {click.object for click in read_clicks(noted.clicks).clicks} == {1, 2}
    assert walker.states == {"img1": "begun", "img2": "begun"} | dict.fromkeys(
        ("img3", "img4", "img10"), "untouched"
    )
    walker.back()
    walker.back()
    assert walker.current == "img1" and np.array_equal(walker.labels, labels)
    assert walker.bench.pairing.scene == scene  # clicks and objects, those begun included
    walker.bench.do("undo")
    walker.bench.do("undo")
    assert set(np.unique(walker.labels)) == {0, 1}
    assert files(raw.parent) == before
    assert walker.asked == 1


def test_where_masks_go_is_asked_once_and_never_among_the_images(
    make_walker: Callable[..., Walker], raw: Path, tmp_path: Path
) -> None:
    walker = make_walker()
    walker.answer = ""
    walker.open(raw)
    assert not walker.state.rows and "where the masks go" in walker.state.message
    walker.answer = str(raw)
    walker.open(raw)
    assert not walker.state.rows and "choose another one" in walker.state.message
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to mother.txt").touch()
    walker.answer = str(tmp_path / "letters")
    walker.open(raw)
    assert not walker.state.rows and "holds other things" in walker.state.message
    walker.answer = str(tmp_path / "chosen")
    walker.open(raw)
    assert walker.current == "img1" and walker.asked == 4
    other = make_walker()
    imsave(raw / "img5.png", picture(5), check_contrast=False)
    other.open(raw)
    assert other.asked == 0 and "img5" in other.states
    assert other.state.project == str((tmp_path / "chosen").resolve())


def test_done_says_that_all_objects_are_labelled_and_goes_on(
    walker: Walker, raw: Path, tmp_path: Path
) -> None:
    walker.open(raw)
    walker.bench.click(20, 20)
    walker.do(Action.ACCEPT_IMAGE)  # accepts what was being made, too
    assert walker.current == "img2"
    walker.do(Action.ACCEPT_IMAGE)  # there is really nothing in it
    project = tmp_path / "masks of raw"
    row = entry(project, "img1")
    assert row is not None and row.complete and mask(project, "img1").any()
    assert not mask(project, "img2").any()
    assert walker.states["img1"] == walker.states["img2"] == "done"
    walker.back()
    walker.do(Action.TAKE_BACK)
    assert walker.states["img2"] == "begun"
    walker.state.listed = "untouched"
    walker.next()
    assert walker.current == "img3"


def test_only_what_is_listed_and_searched_for_is_gone_through(walker: Walker, raw: Path) -> None:
    walker.open(raw)
    walker.state.search = "IMG 1"
    walker.next()
    assert walker.current == "img10"
    walker.next()
    assert walker.current == "img10" and "no image after this one" in walker.state.message


def test_after_a_kill_what_was_made_of_the_open_image_is_offered_and_the_others_are_there(
    make_walker: Callable[..., Walker], raw: Path
) -> None:
    first = make_walker()
    first.open(raw)
    first.make(20, 20)
    first.next()
    first.make(30, 30)
    first.bench.click(50, 50)
    labels, scene = first.labels.copy(), first.bench.pairing.scene
    first.crash()
    second = make_walker()
    second.open(raw)
    assert second.current == "img1" and second.labels.any() and not second.bench.state.unsaved_work
    second.next()
    assert second.current == "img2" and not second.labels.any()
    assert "1 object and 1 click" in second.bench.state.unsaved_work
    second.bench.controller.autosave.take_up()
    second.settle()
    assert np.array_equal(second.labels, labels)
    assert second.bench.pairing.scene == scene


def test_layers_that_the_user_removes_take_nothing_with_them(walker: Walker, raw: Path) -> None:
    walker.open(raw)
    walker.make(30, 40)
    made = walker.labels.copy()
    image, layers = walker.state.current, walker.bench.viewer.layers
    layers.remove(walker.folder.image_layers.labels)
    walker.settle()
    assert walker.state.current == "" and len(layers) == 0
    assert walker.states[Path(image).stem] == "begun"
    walker.folder.open(image)
    walker.settle()
    assert (walker.labels == made).all()


def test_what_is_open_is_saved_when_the_widget_is_closed(
    make_walker: Callable[..., Walker], raw: Path, tmp_path: Path
) -> None:
    walker = make_walker()
    walker.open(raw)
    walker.make(20, 20)
    labels = walker.labels.copy()
    walker.close()
    assert np.array_equal(mask(tmp_path / "masks of raw", "img1"), labels)


def test_what_cannot_be_read_is_passed_over_and_said(
    walker: Walker, raw: Path, told: list[str]
) -> None:
    (raw / "img2.png").write_bytes(b"no picture")
    (raw / "img3.png").unlink()
    tifffile.imwrite(raw / "img3.tif", np.zeros((5, 40, 40), np.uint8), metadata={"axes": "ZYX"})
    walker.open(raw)
    (raw / "img4.png").unlink()  # deleted meanwhile
    walker.make(20, 20)
    walker.next()
    assert walker.current == "img10"
    assert [text.split(" is passed over")[0] for text in told] == [
        "img2.png",
        "img3.tif",
        "img4.png",
    ]
    assert told[0].startswith("img2.png is passed over: it cannot be read")
    assert walker.states["img2"] == walker.states["img4"] == "unreadable"
    walker.back()
    assert walker.current == "img1" and walker.labels.any()


def test_images_of_any_size_and_kind_take_their_turn(
    walker: Walker, raw: Path, tmp_path: Path
) -> None:
    imsave(raw / "img2.png", picture(2, (*SHAPE, 3)), check_contrast=False)
    imsave(raw / "img3.png", picture(3, (30, 100)), check_contrast=False)
    (raw / "img4.png").unlink()
    tifffile.imwrite(
        raw / "img4.tif", picture(4, (2, *SHAPE)).astype(np.float32), metadata={"axes": "CYX"}
    )
    walker.open(raw)
    for _ in range(5):
        walker.make(20, 20)
        walker.next()
    walker.folder.leave()
    walker.settle()
    for name, shape in (("img2", SHAPE), ("img3", (30, 100)), ("img4", SHAPE), ("img10", SHAPE)):
        made = mask(tmp_path / "masks of raw", name)
        assert made.shape == shape and made[20, 20] == 1
    assert not len(walker.bench.viewer.layers)


def test_of_two_windows_on_one_image_the_second_loses_nothing(
    make_walker: Callable[..., Walker], raw: Path, tmp_path: Path, told: list[str]
) -> None:
    first, second = make_walker(), make_walker()
    first.open(raw)
    second.open(raw)
    first.make(20, 20)
    second.make(40, 60)
    first.next()
    kept = mask(tmp_path / "masks of raw", "img1")
    second.next()
    assert np.array_equal(mask(tmp_path / "masks of raw", "img1"), kept)
    assert "another mask meanwhile" in told[-1]
    second.back()
    assert second.labels[20, 20] and not second.labels[40, 60]
    assert "1 object" in second.bench.state.unsaved_work
    second.bench.controller.autosave.take_up()
    second.settle()
    assert second.labels[20, 20] and second.labels[40, 60]


def test_what_cannot_be_saved_comes_back_and_is_saved_later(
    walker: Walker, raw: Path, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    walker.open(raw)
    walker.make(20, 20)
    labels = walker.labels.copy()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ProjectWriter, "annotate", full)
        walker.next()
        assert "can't be saved" in told[-1] and "No space left" in told[-1]
        walker.back()
        assert np.array_equal(walker.labels, labels)
    walker.next()
    assert np.array_equal(mask(tmp_path / "masks of raw", "img1"), labels)


def test_classes_made_on_one_image_are_those_of_the_next(walker: Walker, raw: Path) -> None:
    walker.open(raw)
    walker.bench.controller.add_class("bud", "#ff0000")
    walker.make(20, 20)
    walker.next()
    assert [one.name for one in walker.bench.state.classes][-1] == "bud"
    walker.make(30, 30)
    walker.next()
    classes = read_project(Path(walker.state.project)).classes
    assert classes is not None and [one.name for one in classes.classes][-1] == "bud"


def test_a_project_is_gone_through_where_it_lies(walker: Walker, tmp_path: Path) -> None:
    writer = ProjectWriter(tmp_path / "project")
    writer.set_classes(ProjectClasses(scheme="instances", classes=()))
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:20, 10:20] = 7
    writer.add("a", picture(1), labels)
    writer.add("b", picture(2))
    walker.open(tmp_path / "project")
    assert walker.states == {"a": "done", "b": "untouched"} and walker.current == "b"
    assert walker.asked == 0
    walker.back()
    assert walker.labels[15, 15] == 7
    walker.make(40, 60)
    assert walker.labels[40, 60] == 8  # no id is used twice
    walker.next()
    assert mask(tmp_path / "project", "a")[40, 60] == 8 and walker.states["a"] == "done"


def test_five_thousand_images_are_listed_off_the_main_thread(
    walker: Walker, raw: Path, longest_slot: Callable[[Any], float]
) -> None:
    for n in range(11, 5_006):
        (raw / f"img{n}.png").touch()
    begun = time.thread_time()
    walker.folder.open_folder(str(raw))
    longest = time.thread_time() - begun
    end = time.monotonic() + 60
    while not walker.folder.runner.idle:
        assert time.monotonic() < end
        before = time.thread_time()
        walker.folder.deliver()
        if not walker.state.current:  # napari makes its first layers once
            longest = max(longest, time.thread_time() - before)
        time.sleep(0.001)
    assert len(walker.state.rows) == 5_000
    assert longest < longest_slot(walker.bench.viewer)
