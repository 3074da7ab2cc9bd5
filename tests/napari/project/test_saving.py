"""What was annotated goes back into the project it came from, or into one the user names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg._napari.project.pairs import pairs_of
from napari_clickseg._napari.project.reader import open_project
from napari_clickseg._napari.project.saving import (
    homeless,
    note_saved,
    prepare_saving,
    unsaved,
    write_saving,
)
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
