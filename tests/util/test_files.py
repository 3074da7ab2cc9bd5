from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from napari_clickseg.util.files import PARTIAL, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_that_fails_half_way_does_not_appear(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_whole(tmp_path / "a.txt", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("before")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_whole(tmp_path / "a.txt", fail)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_what_is_being_written_is_hidden_and_has_the_ending_in_small_letters(
    tmp_path: Path,
) -> None:
    seen = []

    def write(path: Path) -> None:
        seen.append(path)
        path.write_text("whole")

    write_whole(tmp_path / "A.TIF", write)
    assert seen[0].parent == tmp_path
    assert seen[0].name.startswith(PARTIAL)
    assert seen[0].suffix == ".tif"
    assert [path.name for path in tmp_path.iterdir()] == ["A.TIF"]
    assert (tmp_path / "A.TIF").read_text() == "whole"


@pytest.mark.skipif("os.name == 'nt'", reason="has no such modes")
def test_others_can_read_what_was_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", lambda path: path.write_text("whole"))
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_a_file_is_written_into_the_folder_that_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    write_whole(Path("a.txt"), lambda path: path.write_text("whole"))
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_errors_of_the_system_name_the_file_that_was_wanted_and_say_what_to_do(tmp_path):
    from napari_clickseg.util.files import naming
    from napari_clickseg.util.text import one_line

    def refuse(partial):
        raise PermissionError(13, "Permission denied", str(partial))

    with pytest.raises(PermissionError) as error:
        write_whole(tmp_path / "a.csv", refuse)
    assert one_line(error.value).startswith(f"{tmp_path / 'a.csv'}: Permission denied; choose")
    with pytest.raises(OSError, match=r"b\.txt"), naming(tmp_path / "a.csv"):
        raise OSError(5, "Input/output error", "b.txt")
    assert [*tmp_path.iterdir()] == []
