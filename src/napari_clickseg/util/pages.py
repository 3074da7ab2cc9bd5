"""Reports: Markdown for programs and repositories, and beside it a page that opens anywhere."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; }}
body {{ margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ border-bottom: 1px solid #8886; padding: .2rem .7rem; }}
img {{ background: white; max-width: 100%; }}
pre {{ overflow-x: auto; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def write_report_files(path: Path, text: str) -> None:
    """Write a report in Markdown, and beside it the same as an HTML page.

    Parameters
    ----------
    path : Path
        Of the Markdown file; the page is called the same and ends in ``.html``. Pictures stay files
        beside both.
    text : str
        Markdown with tables; HTML in it, such as in the name of an image, is shown as it is
        written.
    """
    from markdown_it import MarkdownIt

    title = text.lstrip("# ").partition("\n")[0]
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    page = _PAGE.format(title=html.escape(title), body=body)
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    write_whole(
        path.with_suffix(".html"), lambda partial: partial.write_text(page, encoding="utf-8")
    )
