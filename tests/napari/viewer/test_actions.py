from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_clickseg._napari.viewer.actions import SHORTCUTS, Action, tooltip

ROOT = Path(__file__).parents[3]


def as_pressed(key: object) -> str:
    """Write a key the way napari does, whichever way it was written."""
    from napari.utils.key_bindings import coerce_keybinding

    return str(coerce_keybinding(key))


def keys_of_napari() -> dict[str, str]:
    """List napari's keys in the viewer and in all layers, with what they do."""
    from napari import layers
    from napari.components import ViewerModel
    from napari.utils.shortcuts import default_shortcuts

    taken = {as_pressed(key): name for name, keys in default_shortcuts.items() for key in keys}
    kinds = (layers.Image, layers.Labels, layers.Points, layers.Shapes, ViewerModel)
    for kind in {ancestor for each in kinds for ancestor in each.__mro__}:
        for key in getattr(kind, "class_keymap", {}):
            taken[as_pressed(key)] = f"{kind.__name__} itself"
    return taken


def test_every_action_has_exactly_one_shortcut_and_every_key_one_action() -> None:
    assert list(SHORTCUTS) == list(Action)
    assert all(shortcut.action is action for action, shortcut in SHORTCUTS.items())
    assert len({as_pressed(s.key) for s in SHORTCUTS.values()}) == len(SHORTCUTS)


def test_napari_still_has_the_keys_that_are_compared_with() -> None:
    """Else the next test passes because it compares with nothing."""
    taken = keys_of_napari()
    expected = ["C", "D", "T", "O", "Shift-V", "Ctrl-Z", "Space", "Delete", "1"]
    assert {as_pressed(key) for key in expected} <= taken.keys()


@pytest.mark.parametrize("action", Action)
def test_no_key_is_one_of_naparis_own(action: Action) -> None:
    """napari's keys win where a layer has them, so ours would do nothing, or both would act."""
    key = as_pressed(SHORTCUTS[action].key)
    taken = keys_of_napari()
    assert key not in taken, f"{key} is napari's {taken[key]}"


@pytest.mark.parametrize("action", Action)
def test_a_key_is_bound_under_the_very_name_in_the_table(action: Action) -> None:
    """napari takes some misspelt keys for others without a word."""
    from napari.components import ViewerModel

    viewer = ViewerModel()
    viewer.bind_key(SHORTCUTS[action].key, lambda _: None)
    (bound,) = viewer.keymap
    assert str(bound).replace("+", "-").lower() == SHORTCUTS[action].key.lower()


@pytest.mark.parametrize("action", Action)
def test_a_tooltip_says_what_happens_and_by_which_key(action: Action) -> None:
    shortcut = SHORTCUTS[action]
    assert shortcut.text.endswith(".")
    assert shortcut.text in tooltip(action)
    assert shortcut.key in tooltip(action)


def test_the_documented_keys_are_those_of_the_table() -> None:
    command = [sys.executable, ROOT / "tools" / "make_shortcuts.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run tools/make_shortcuts.py"
