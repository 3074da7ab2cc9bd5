"""Messages in the window name what is seen there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import napari_clickseg.formats
from napari_clickseg._napari.formats.control_names import in_window

_OPTION = re.compile(r"--[a-z]")


def _messages() -> list[str]:
    """Return the texts with options in what exports and imports, but for what documents it."""
    messages = []
    for path in Path(napari_clickseg.formats.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        inner = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
                 for part in node.values}  # fmt: skip
        for node in ast.walk(tree):
            if node in documented or node in inner:
                continue
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(
                str(one.value) if isinstance(one, ast.Constant) else "X" for one in parts
            )
            if isinstance(node, ast.JoinedStr | ast.Constant) and _OPTION.search(text):
                messages.append(text)
    return messages


def test_no_message_of_the_window_speaks_of_an_option_of_the_command_line():
    messages = _messages()
    assert len(messages) > 8
    for text in messages:
        assert not _OPTION.search(in_window(text)), text


@pytest.mark.parametrize("text", ["a - b", "'x--y' is a name", "nothing"])
def test_what_names_no_option_stays_as_it_is(text):
    assert in_window(text) == text
