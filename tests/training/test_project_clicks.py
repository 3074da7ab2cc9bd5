from __future__ import annotations

import numpy as np

from napari_clickseg.training.project_clicks import connected_parts


def test_objects_of_a_map_of_classes_are_connected_parts_of_one_class() -> None:
    """A cell and the bud that touches it are two; cells of one class are not one."""
    classes = np.zeros((12, 20), np.uint8)
    classes[1:5, 1:5] = 1  # a cell
    classes[5:7, 2:4] = 2  # its bud touches it
    classes[1:5, 10:14] = 1  # another cell
    classes[5, 14] = 1  # reached over a corner
    parts = connected_parts(classes)
    assert sorted(np.unique(parts).tolist()) == [0, 1, 2, 3]
    assert ((parts > 0) == (classes > 0)).all()
    assert parts[4, 13] == parts[5, 14] != parts[1, 1]
    assert parts[5, 2] not in (parts[1, 1], parts[1, 10], 0)
