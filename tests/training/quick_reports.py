"""What trainings find out about themselves takes longer than a test's training: make it short."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_clickseg.evaluation.noc import NocSpec
from napari_clickseg.training import before_after, report

if TYPE_CHECKING:
    import pytest


def few_clicks(patch: pytest.MonkeyPatch) -> None:
    """Let trainings find out with five clicks and not with twenty whether they helped."""
    patch.setattr(before_after, "NocSpec", partial(NocSpec, clicks=5))
    patch.setattr(before_after, "JITTER_REPEATS", 1)


def no_curves(patch: pytest.MonkeyPatch) -> None:
    """Draw no curves of the epochs."""
    patch.setattr(report, "_plot", lambda epochs, path, metric: path.touch())
