"""Training and validation sets, and folds, that no group straddles.

Images of one patient, specimen or field look alike. Where some are trained on and others are
validated on, the figures flatter (by about six points of IoU on brain MRI), so groups stay whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Split", "SplitError", "folds", "single_split"]


class SplitError(ValueError):
    """Images that can't be split; the message says why."""


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the images to train on and to validate on, rising.

    Parameters
    ----------
    training, validation : tuple of int
    leaks : bool
        Images of one group are on both sides, because there was one group only.
    """

    training: tuple[int, ...]
    validation: tuple[int, ...]
    leaks: bool = False


def single_split(groups: Sequence[str], *, share: float = 0.2, seed: int = 0) -> Split:
    """Choose groups to validate on, at least one.

    Of many random choices the one is taken whose number of images comes nearest to `share`.

    Parameters
    ----------
    groups : sequence of str
        Of each image.
    share : float
        Of the images, to validate on; between 0 and 1.
    seed : int
        Decides which groups.

    Raises
    ------
    SplitError
        If there are fewer than two images, or the share leaves nothing on one side.
    """
    from sklearn.model_selection import GroupShuffleSplit

    if not 0 < share < 1:
        raise SplitError(f"The share to validate on is {share}; give one between 0 and 1.")
    units, leaks = _units(groups)
    different = len(set(units))
    held = min(max(1, round(share * different)), different - 1)
    splitter = GroupShuffleSplit(n_splits=50, test_size=held, random_state=seed)
    tried = [test for _, test in splitter.split(units, groups=units)]
    best = min(tried, key=lambda test: abs(len(test) / len(units) - share))
    return _split(len(units), best, leaks)


def folds(groups: Sequence[str], k: int = 5, *, seed: int = 0) -> list[Split]:
    """Cut into `k` folds, each of which is validated on once; fewer where there are fewer groups.

    Folds hold about the same number of images.

    Parameters
    ----------
    groups : sequence of str
        Of each image.
    k : int
        At least 2.
    seed : int
        Decides which groups go together.

    Raises
    ------
    SplitError
        If there are fewer than two images, or `k` is less than 2.
    """
    if k < 2:
        raise SplitError(f"{k} is no number of folds; give 2 or more.")
    units, leaks = _units(groups)
    k = min(k, len(set(units)))
    return [_split(len(units), test, leaks) for test in _balanced(units, k, seed)]


def _balanced(units: Sequence[str], k: int, seed: int) -> Iterator[Sequence[int]]:
    """Yield the images of each fold; scikit-learn balances the folds' sizes or shuffles, not both.

    So the groups are renamed at random before it balances: those of one size then fall at random.
    """
    from sklearn.model_selection import GroupKFold

    names = sorted(set(units))
    order = np.random.default_rng(seed).permutation(len(names))
    renamed = dict(zip(names, order.tolist(), strict=True))
    numbers = [renamed[unit] for unit in units]
    for _, test in GroupKFold(k).split(numbers, groups=numbers):
        yield test.tolist()


def _units(groups: Sequence[str]) -> tuple[list[str], bool]:
    """Return what must not be split, and whether that is less than a group."""
    if len(groups) < 2:
        raise SplitError(
            f"There {'is one image' if groups else 'is no image'}, and one to train on and one to "
            "validate on are needed; annotate another one."
        )
    if len(set(groups)) > 1:
        return list(groups), False
    return [str(i) for i in range(len(groups))], True


def _split(n: int, validation: Sequence[int], leaks: bool) -> Split:
    held = sorted(int(i) for i in validation)
    return Split(tuple(i for i in range(n) if i not in set(held)), tuple(held), leaks)
