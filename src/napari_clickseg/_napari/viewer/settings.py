"""The user's settings, as napari keeps them.

The manifest's ``configurations`` declare them; napari shows them in its preferences and saves
them by itself. Each widget says which fields of its state they are.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from napari_clickseg.runs.home import default_home

PLUGIN = "napari-clickseg"
Groups = dict[str, tuple[str, ...]]  # fields of a state by the group of the manifest
_log = logging.getLogger(__name__)


def read_settings(groups: Groups) -> dict[str, Any]:
    """Return the user's values of fields; without those that can't be read."""
    settings = _plugin_settings()
    values = {}
    for group, names in groups.items():
        section = getattr(settings, group, None)
        values.update({name: getattr(section, name) for name in names if hasattr(section, name)})
    return values


def runs_home() -> Path:
    """Return the folder that holds the runs of the Train widget, as the user chose it."""
    return Path(read_settings({"training": ("home",)}).get("home") or default_home())


def save_settings(state: object, groups: Groups) -> None:
    """Write fields of a state back to the settings; what can't be saved is skipped."""
    settings = _plugin_settings()
    for group, names in groups.items():
        section = getattr(settings, group, None)
        for name in names:
            _write(section, name, getattr(state, name))


def _write(section: Any, name: str, value: Any) -> None:
    if getattr(section, name, value) == value:
        return  # the same, or not there
    try:
        setattr(section, name, value)
    except (ValueError, OSError) as error:  # out of the declared range, or the disk is full
        _log.warning("The setting %s was not saved: %s", name, error)


def _plugin_settings() -> Any:
    """Return napari's settings of this plugin, or None."""
    from napari.settings import get_plugin_settings

    try:
        return get_plugin_settings(PLUGIN)
    except (KeyError, AttributeError, ValueError, OSError, AssertionError) as error:
        # Not registered as a plugin (run from a script), or the settings' file is broken.
        _log.warning("The settings can't be read, so the defaults are used: %s", error)
        return None
