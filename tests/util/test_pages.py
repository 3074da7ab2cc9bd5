"""A report opens in a browser, and says the same there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg.util.pages import write_report_files

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """# Cells & co

![Curves](curves.png)

| image | IoU |
| --- | --: |
| <script>a.png | 0.5 |
"""


def test_a_report_is_written_as_markdown_and_as_a_page_with_its_tables_and_pictures(
    tmp_path: Path,
) -> None:
    write_report_files(tmp_path / "report.md", TEXT)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == TEXT
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>Cells &amp; co</title>" in page
    assert "<h1>Cells &amp; co</h1>" in page
    assert '<img src="curves.png" alt="Curves" />' in page
    assert '<td style="text-align:right">0.5</td>' in page
    assert {one.name for one in tmp_path.iterdir()} == {"report.md", "report.html"}


def test_names_of_files_are_text_in_a_page_and_not_part_of_it(tmp_path: Path) -> None:
    write_report_files(tmp_path / "report.md", TEXT)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in page and "&lt;script&gt;a.png" in page
