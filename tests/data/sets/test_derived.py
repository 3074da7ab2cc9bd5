"""A table of another project's images says of them what that one says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg.data.annotations import ProjectClick
from napari_clickseg.data.object_masks import counts_as_complete, read_object_mask
from napari_clickseg.data.project import read_project
from napari_clickseg.data.sets.derived import write_derived
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_complete_and_the_classes_of_objects_go_along(tmp_path: Path) -> None:
    writer = ProjectWriter(tmp_path / "project")
    mask = np.eye(5, dtype=np.uint8)
    for name, complete in (("a", True), ("b", False), ("c", None)):
        click = ProjectClick(y=0, x=0, object=1)
        writer.add(name, mask * 9, mask, clicks=(click,), object_classes={1: 4})
        writer.mark_complete(f"images/{name}.png", complete)
    project = read_project(tmp_path / "project")
    write_derived(tmp_path / "runs/table", project, project.records, ["training"] * 3)
    derived = read_project(tmp_path / "runs/table").records
    assert [one.complete for one in derived] == [True, False, None]
    assert [counts_as_complete(one) for one in derived] == [True, False, False]
    assert read_object_mask(derived[0], by_class=False).classes.tolist() == [4]
