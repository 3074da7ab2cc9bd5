"""The directive `manifest-settings`: tables of the settings that the manifest declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_HEADER = ("Setting", "What it does", "Default")


class ManifestSettings(Directive):
    """A table for each group of settings."""

    def run(self) -> list[nodes.Node]:
        """Return a table for each group."""
        from importlib.resources import files

        text = files("napari_clickseg").joinpath("napari.yaml").read_text(encoding="utf-8")
        groups = yaml.safe_load(text)["contributions"]["configurations"]
        made: list[nodes.Node] = []
        for group in groups.values() if isinstance(groups, dict) else groups:
            made.append(nodes.rubric(text=group["title"]))
            made.append(_table([_row(one) for one in group["properties"].values()]))
        return made


def _row(setting: dict[str, Any]) -> tuple[str, str, str]:
    choices = ", ".join(str(one) for one in setting.get("enum", ()))
    text = str(setting["description"]) + (f" One of: {choices}." if choices else "")
    default = setting.get("default", "")
    shown = {True: "on", False: "off"}.get(default, str(default)) if default != "" else "empty"
    return str(setting["title"]), text, shown


def _table(rows: list[tuple[str, str, str]]) -> nodes.table:
    group = nodes.tgroup(cols=3)
    group += [nodes.colspec(colwidth=width) for width in (25, 60, 15)]
    head, body = nodes.thead(), nodes.tbody()
    head += _line(_HEADER)
    body += [_line(row) for row in rows]
    group += [head, body]
    table = nodes.table()
    table += group
    return table


def _line(cells: tuple[str, str, str]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += nodes.paragraph(text=cell)
        row += entry
    return row


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("manifest-settings", ManifestSettings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
