"""How Sphinx makes the documentation site: `make docs`."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "napari-clickseg"
author = "The napari-clickseg developers"
copyright = author  # noqa: A001
version = release = installed("napari-clickseg")

extensions = [
    "manifest_settings",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxarg.ext",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
suppress_warnings = ["myst.domains"]  # sphinx-argparse knows less of references than MyST asks

autodoc_typehints = "none"  # the docstrings say them, with shapes and units
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = "napari-clickseg"
html_logo = "../src/napari_clickseg/icon.svg"
html_favicon = html_logo
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "github_url": "https://github.com/napari-clickseg/napari-clickseg",
    "logo": {"text": "napari-clickseg"},
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
