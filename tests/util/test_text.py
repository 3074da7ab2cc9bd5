from __future__ import annotations

import pytest

from napari_clickseg.util.text import one_line


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (ValueError("two\n  lines"), False, "two lines"),
        (ValueError("two\nlines"), True, "ValueError: two lines"),
        (MemoryError(), False, "MemoryError"),
        (MemoryError(), True, "MemoryError"),
    ],
)
def test_an_error_is_one_line_and_never_empty(error: Exception, kind: bool, says: str) -> None:
    assert one_line(error, kind=kind) == says
