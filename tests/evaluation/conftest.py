from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest


def predictor_class():
    """Return a predictor whose answers are known beforehand.

    The classes are local, so that they are sent to other processes by value: those can't import
    the tests.
    """

    class KnownSession:
        """Answers the object of `truth` that the first positive click is on."""

        def __init__(self, truth, blind=False):
            self.truth, self.blind = truth, blind
            self.starts, self.clicks = [], []

        def start_from(self, mask):
            self.starts.append(None if mask is None else mask.copy())
            self.clicks = []

        def click(self, y, x, positive=True):
            self.clicks.append((y, x, positive))

        def predict(self):
            mask = np.zeros(self.truth.shape, bool)
            positive = [(y, x) for y, x, p in self.clicks if p]
            if positive and not self.blind:
                y, x = positive[0]
                mask = self.truth == self.truth[round(y), round(x)]
            return SimpleNamespace(mask=mask)

    class KnownPredictor:
        """Takes the image for the truth; a blind one never finds anything."""

        blind = False

        def __init__(self):
            self.sessions = []

        def start(self, image, *, rgb=None):
            self.sessions.append(KnownSession(np.asarray(image), self.blind))
            return self.sessions[-1]

    return KnownPredictor


@pytest.fixture
def known():
    """A predictor that answers the truth; call it for a new one."""
    return predictor_class()


@pytest.fixture
def blind():
    """A predictor that never finds anything; call it for a new one."""
    predictor = predictor_class()
    predictor.blind = True
    return predictor
