"""`python -m napari_clickseg.cli` is the `clickseg` command, wherever its script lies."""

from __future__ import annotations

import sys

from napari_clickseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
