"""What was annotated goes back into the project it came from, or into one the user names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.layers import Labels

from napari_clickseg._napari.project.pairs import pairs_of
from napari_clickseg._napari.project.reader import open_project
from napari_clickseg._napari.project.saver import Saver
from napari_clickseg._napari.project.saving import (
    homeless,
    note_saved,
    prepare_saving,
    unsaved_by_layer,
    write_saving,
)
from napari_clickseg._napari.viewer.metadata import complete_planes, unsaved_complete
from napari_clickseg.data.annotations import read_clicks
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path


def opened(bench: Any, folder: Path) -> Any:
    """Make a project of one image that is not annotated, and open it."""
    image = np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8)
    ProjectWriter(folder).add("cells", image)
    for data, meta, kind in open_project(read_project(folder)):
        getattr(bench.viewer, f"add_{kind}")(data, **meta)
    layers = {type(layer).__name__: layer for layer in bench.viewer.layers}
    bench.controller.adopt(layers["Image"], annotation=layers["Labels"])
    bench.settle()
    return layers["Image"]


def unsaved(viewer: Any) -> int:
    return sum(unsaved_by_layer(viewer).values())


def saved(bench: Any, folder: Path | None = None) -> tuple[str, ...]:
    saving = prepare_saving(bench.viewer, pairs_of(bench.viewer), folder)
    said = write_saving(saving)
    note_saved(saving)
    return said


def test_masks_and_clicks_go_back_to_the_project_the_image_came_from(
    bench: Any, tmp_path: Path
) -> None:
    opened(bench, tmp_path / "p")
    bench.click(30, 40)
    bench.do("accept")
    assert not homeless(pairs_of(bench.viewer))
    (said,) = saved(bench)
    assert said.startswith("1 mask is saved in")
    (record,) = read_project(tmp_path / "p").records
    np.testing.assert_array_equal(read_labels(record.mask), bench.labels)
    assert record.clicks is not None
    (click,) = read_clicks(record.clicks).clicks
    assert (click.y, click.x, click.positive) == (30, 40, True)


def test_an_image_of_no_project_goes_where_the_user_says_and_there_again(
    bench: Any, tmp_path: Path
) -> None:
    bench.open(np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8), name="cells")
    bench.click(30, 40)
    bench.do("accept")
    assert len(homeless(pairs_of(bench.viewer))) == 1
    assert saved(bench) == (), "Nowhere, before the user said where."
    saved(bench, tmp_path / "new")
    assert not homeless(pairs_of(bench.viewer))
    bench.click(80, 100)
    bench.do("accept")
    saved(bench)
    (record,) = read_project(tmp_path / "new").records
    assert set(np.unique(read_labels(record.mask))) == {0, 1, 2}


def test_objects_are_unsaved_until_they_are_saved(bench: Any, tmp_path: Path) -> None:
    opened(bench, tmp_path / "p")
    assert unsaved(bench.viewer) == 0
    bench.click(30, 40)
    assert unsaved(bench.viewer) == 0, "It is not accepted."
    bench.do("accept")
    assert unsaved(bench.viewer) == 1
    saved(bench)
    assert unsaved(bench.viewer) == 0
    bench.click(80, 100)
    bench.do("accept")
    assert unsaved(bench.viewer) == 1


def test_that_an_image_is_complete_is_unsaved_until_it_is_saved_with_its_mask(
    bench: Any, tmp_path: Path
) -> None:
    opened(bench, tmp_path / "p")
    bench.click(30, 40)
    bench.do("accept")
    saved(bench)
    assert read_project(tmp_path / "p").records[0].complete is None, "nobody said it"
    assert bench.state.complete is None
    for complete in (True, False):
        bench.controller.mark_complete(complete)
        assert bench.state.complete is complete and unsaved(bench.viewer) == 1
        saved(bench)
        assert unsaved(bench.viewer) == 0
        (record,) = read_project(tmp_path / "p").records
        assert record.complete is complete
    layers = open_project(read_project(tmp_path / "p"))
    (again,) = [Labels(data, **meta) for data, meta, kind in layers if kind == "labels"]
    assert complete_planes(again) == {(0, 0): False} and not unsaved_complete(again)


def test_of_a_stack_each_plane_is_complete_or_not(bench: Any, tmp_path: Path) -> None:
    bench.open(np.random.default_rng(0).integers(0, 255, (3, 60, 80), np.uint8), name="stack")
    for at in (0, 1):
        bench.viewer.dims.set_current_step(0, at)
        bench.click(30, 40)
        bench.do("accept")
    bench.controller.mark_complete(True)
    bench.viewer.dims.set_current_step(0, 0)
    assert bench.state.complete is None
    bench.viewer.dims.set_current_step(0, 1)
    assert bench.state.complete is True
    saved(bench, tmp_path / "p")
    records = {record.name: record.complete for record in read_project(tmp_path / "p").records}
    assert records == {"images/stack_0.png": None, "images/stack_1.png": True}


def test_other_records_of_the_project_stay(bench: Any, tmp_path: Path) -> None:
    mask = np.ones((50, 60), np.uint16)
    ProjectWriter(tmp_path / "p").add("other", np.zeros((50, 60), np.uint8), mask)
    bench.open(np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8), name="cells")
    bench.click(30, 40)
    bench.do("accept")
    saved(bench, tmp_path / "p")
    names = [record.name for record in read_project(tmp_path / "p").records]
    assert sorted(names) == ["images/cells.png", "images/other.png"]


def test_what_cannot_be_saved_is_said(bench: Any, tmp_path: Path) -> None:
    opened(bench, tmp_path / "p")
    saving = prepare_saving(bench.viewer, pairs_of(bench.viewer))
    with pytest.raises(ValueError, match="Nothing is annotated"):
        write_saving(saving)


# ---- what is unsaved


def paint(bench: Any, row: int, column: int, value: int = 7) -> None:
    """Paint as napari's brush does, with notes for its undo and its event."""
    layer = bench.pairing.annotation
    layer.brush_size, layer.selected_label = 5, value
    with layer.block_history():
        layer.paint((row, column), value)


def test_strokes_and_deleted_objects_are_unsaved_until_they_are_undone(
    bench: Any, tmp_path: Path
) -> None:
    opened(bench, tmp_path / "p")
    bench.click(30, 40)
    bench.do("accept")
    saved(bench)
    paint(bench, 80, 100)
    assert unsaved(bench.viewer) == 1
    bench.do("undo")
    assert unsaved(bench.viewer) == 0, "It is as it was saved."
    bench.do("undo")
    assert unsaved(bench.viewer) == 1, "The object is in the project, and not here any more."
    bench.do("redo")
    assert unsaved(bench.viewer) == 0


def test_what_is_unsaved_stays_so_when_the_widget_is_closed(bench: Any, tmp_path: Path) -> None:
    image = opened(bench, tmp_path / "p")
    bench.click(30, 40)
    bench.do("accept")
    bench.controller.close()
    assert unsaved(bench.viewer) == 1
    saved(bench)
    assert unsaved(bench.viewer) == 0
    bench.viewer.layers.remove(image)
    assert unsaved(bench.viewer) == 0


def test_erasing_every_object_of_an_image_clears_its_mask_in_the_project(
    bench: Any, tmp_path: Path
) -> None:
    rng, mask = np.random.default_rng(0), np.zeros((120, 160), np.uint16)
    mask[20:40, 30:50] = 3
    for name in ("one", "two"):
        ProjectWriter(tmp_path / "p").add(name, rng.integers(0, 255, (120, 160), np.uint8), mask)
    for data, meta, kind in open_project(read_project(tmp_path / "p")):
        getattr(bench.viewer, f"add_{kind}")(data, **meta)
    layers = {type(layer).__name__: layer for layer in bench.viewer.layers}
    bench.controller.adopt(layers["Image"], annotation=layers["Labels"])
    bench.settle()
    bench.viewer.dims.set_point(0, 1)
    layers["Labels"].fill((1, 30, 40), 0)
    assert unsaved(bench.viewer) == 1
    said = " ".join(saved(bench))
    assert "1 mask is saved" in said and "1 image is not annotated any more" in said
    project = read_project(tmp_path / "p")
    assert [record.name for record in project.records] == ["images/one.png"]
    assert [entry.name for entry in project.unannotated] == ["images/two.png"]
    assert unsaved(bench.viewer) == 0


def test_masks_that_nobody_erased_stay_however_empty_the_layer_is(
    bench: Any, tmp_path: Path
) -> None:
    """A mask may have come into the project after the layers were opened, as by a review."""
    opened(bench, tmp_path / "p")
    bench.click(30, 40)
    bench.do("accept")
    bench.do("undo")
    mask = np.ones((120, 160), np.uint16)
    ProjectWriter(tmp_path / "p").annotate("images/cells.png", mask)
    with pytest.raises(ValueError, match="Nothing is annotated"):
        saved(bench)
    (record,) = read_project(tmp_path / "p").records
    np.testing.assert_array_equal(read_labels(record.mask), mask)


# ---- one key


class Asked:
    """A user who is asked for a folder, and one who waits for what is said."""

    def __init__(self, bench: Any, *answers: str) -> None:
        self.bench, self.answers, self.said = bench, list(answers), [""]
        self.saver = Saver(bench.viewer, lambda: self.answers.pop(0))
        self.saver.say = self.said.append

    def save(self) -> str:
        done: list[bool] = []
        self.saver.save(lambda: done.append(True))
        while self.saver.busy:
            self.saver.deliver()
        self.went_on = bool(done)
        return self.said[-1]


def test_where_a_new_project_is_made_is_asked_once(bench: Any, tmp_path: Path) -> None:
    user = Asked(bench, str(tmp_path / "new"))
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        bench.open(rng.integers(0, 255, (120, 160), np.uint8), name=name)
        bench.click(30, 40)
        bench.do("accept")
        assert str(tmp_path / "new") in user.save()
        assert user.went_on
    names = [record.name for record in read_project(tmp_path / "new").records]
    assert sorted(names) == ["images/one.png", "images/two.png"]


def test_giving_up_the_folder_saves_nothing_and_goes_on_with_nothing(
    bench: Any, tmp_path: Path
) -> None:
    user = Asked(bench, "", str(tmp_path / "new"))
    bench.open(np.zeros((120, 160), np.uint8), name="one")
    assert "nothing to save" in user.save()
    bench.click(30, 40)
    bench.do("accept")
    assert "Nothing is saved" in user.save()
    assert not user.went_on
    assert unsaved(bench.viewer) == 1
    user.save()
    assert user.went_on


def test_a_folder_that_cannot_be_written_to_is_said_and_another_one_asked_for(
    bench: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    user = Asked(bench, str(tmp_path / "file" / "in it"), str(tmp_path / "new"))
    bench.open(np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8), name="one")
    bench.click(30, 40)
    bench.do("accept")
    assert user.save()
    assert not user.went_on
    assert unsaved(bench.viewer) == 1
    assert "1 mask is saved" in user.save()


def test_labels_whose_image_is_gone_are_named_and_stay_unsaved(bench: Any, tmp_path: Path) -> None:
    user = Asked(bench, str(tmp_path / "new"))
    image = bench.open(np.zeros((120, 160), np.uint8), name="one")
    bench.click(30, 40)
    bench.do("accept")
    bench.viewer.layers.remove(image)
    assert "'one annotation' goes with" in user.save()
    assert not user.went_on
    assert unsaved(bench.viewer) == 1


def test_the_annotation_of_a_large_plane_says_how_it_is_saved_and_is(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_clickseg._napari.viewer.layers._LARGE", 60 * 80)
    monkeypatch.setattr("napari_clickseg._napari.viewer.layers._TILE", 16)
    bench.viewer.add_image(np.random.default_rng(0).integers(0, 255, (60, 80)).astype(np.uint8))
    bench.controller.set_up(bench.viewer.layers[0])
    assert bench.pairing.annotation.multiscale
    assert "Save to project" in bench.state.message
    bench.settle()
    bench.click(30, 30)
    bench.do("accept")
    saved(bench, tmp_path / "project")
    (record,) = read_project(tmp_path / "project").records
    np.testing.assert_array_equal(read_labels(record.mask), bench.labels[0])
    assert read_labels(record.mask)[30, 30] == 1
