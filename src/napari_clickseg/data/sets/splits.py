"""Training and validation sets, and folds, that no group straddles.

Images of one patient, specimen or field look alike. Where some are trained on and others are
validated on, the figures flatter (by about six points of IoU on brain MRI), so groups stay whole.
What is rare is to be on both sides all the same: a class that is only trained on has no figures,
and one that is only validated on is not learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Bool = npt.NDArray[np.bool_]
_TRIES = 50  # choices of groups to validate on
_DEALT = 10  # ways of dealing groups out to folds


class SplitError(ValueError):
    """Images that can't be split; the message says why."""


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the images to train on and to validate on, rising.

    Parameters
    ----------
    leaks : bool
        Images of one group are on both sides, because there was one group only.
    """

    training: tuple[int, ...]
    validation: tuple[int, ...]
    leaks: bool = False


def single_split(
    groups: Sequence[str],
    *,
    share: float = 0.2,
    seed: int = 0,
    classes: Sequence[Collection[int]] | None = None,
) -> Split:
    """Choose groups to validate on, at least one.

    Of many random choices those are looked at that leave the fewest classes out on either side,
    and of these the one is taken whose number of images comes nearest to `share`.

    Parameters
    ----------
    groups : sequence of str
        Of each image.
    share : float
        Of the images, to validate on; between 0 and 1. Exceeded where a class would be left out.
    seed : int
        Decides which groups.
    classes : sequence of collections of int, optional
        What is in each image.

    Raises
    ------
    SplitError
        If there are fewer than two images, or the share leaves nothing on one side.
    """
    from sklearn.model_selection import GroupShuffleSplit

    if not 0 < share < 1:
        raise SplitError(f"The share to validate on is {share}; give one between 0 and 1.")
    units, leaks = _units(groups)
    there = _presence(len(units), classes)
    different = len(set(units))
    held = min(max(1, round(share * different)), different - 1)

    def judge(test: npt.NDArray[np.intp]) -> tuple[int, float]:
        return _left_out(there, test), abs(len(test) / len(units) - share)

    splitter = GroupShuffleSplit(n_splits=_TRIES, test_size=held, random_state=seed)
    best = min((test for _, test in splitter.split(units, groups=units)), key=judge)
    if _left_out(there, best):
        rng = np.random.default_rng(seed)
        chosen = (_chosen(units, there, held, rng) for _ in range(_TRIES))
        best = min([best, *chosen], key=judge)
    return _split(len(units), best, leaks)


def folds(
    groups: Sequence[str],
    k: int = 5,
    *,
    seed: int = 0,
    classes: Sequence[Collection[int]] | None = None,
) -> list[Split]:
    """Cut into `k` folds, each of which is validated on once; fewer where there are fewer groups.

    Folds hold about the same number of images, and each of them every class, as far as there are
    groups with it.

    Parameters
    ----------
    groups : sequence of str
        Of each image.
    k : int
        At least 2.
    seed : int
        Decides which groups go together.
    classes : sequence of collections of int, optional
        What is in each image.

    Raises
    ------
    SplitError
        If there are fewer than two images, or `k` is less than 2.
    """
    if k < 2:
        raise SplitError(f"{k} is not a number of folds; give 2 or more.")
    units, leaks = _units(groups)
    there = _presence(len(units), classes)
    k = min(k, len(set(units)))

    def judge(cut: list[npt.NDArray[np.intp]]) -> tuple[int, int]:
        sizes = [len(test) for test in cut]
        return sum(_left_out(there, test) for test in cut), max(sizes) - min(sizes)

    best = _balanced(units, k, seed)
    if judge(best)[0]:
        rng = np.random.default_rng(seed)
        best = min([best, *(_dealt(units, there, k, rng) for _ in range(_DEALT))], key=judge)
    return [_split(len(units), test, leaks) for test in best]


def _balanced(units: Sequence[str], k: int, seed: int) -> list[npt.NDArray[np.intp]]:
    """Return the images of each fold; scikit-learn balances the folds' sizes or shuffles, not both.

    So the groups are renamed at random before it balances: those of one size then fall at random.
    """
    from sklearn.model_selection import GroupKFold

    names = sorted(set(units))
    order = np.random.default_rng(seed).permutation(len(names))
    renamed = dict(zip(names, order.tolist(), strict=True))
    numbers = [renamed[unit] for unit in units]
    return [test for _, test in GroupKFold(k).split(numbers, groups=numbers)]


def _chosen(
    units: Sequence[str], there: Bool, held: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Choose groups to validate on at random, but of each class, the rarest first, one a side."""
    unit, has = _by_unit(units, there)
    validated = np.zeros(len(has), np.bool_)
    settled = np.zeros(len(has), np.bool_)
    for k in np.argsort(has.sum(0), kind="stable"):
        some = rng.permutation(np.flatnonzero(has[:, k]))
        for side in (True, False) if len(some) > 1 else ():
            free = some[~settled[some]]
            if len(free) and not (settled[some] & (validated[some] == side)).any():
                settled[free[0]], validated[free[0]] = True, side
    free = rng.permutation(np.flatnonzero(~settled))
    validated[free[: max(0, held - int(validated.sum()))]] = True
    return np.flatnonzero(validated[unit])


def _dealt(
    units: Sequence[str], there: Bool, k: int, rng: np.random.Generator
) -> list[npt.NDArray[np.intp]]:
    """Deal groups out, the rarest classes first, each to the smallest fold that lacks its own."""
    unit, has = _by_unit(units, there)
    sizes = np.bincount(unit)
    rarest = np.where(has, has.sum(0), len(has) + 1).min(1)
    fold = np.zeros(len(has), np.intp)
    held, images = np.zeros((k, has.shape[1]), np.bool_), np.zeros(k, np.intp)
    for number in np.lexsort((rng.permutation(len(has)), -sizes, rarest)):
        lacking = (has[number] & ~held).sum(1)
        at = int(np.lexsort((images, -lacking))[0])
        fold[number] = at
        held[at] |= has[number]
        images[at] += sizes[number]
    return [np.flatnonzero(fold[unit] == at) for at in range(k)]


def _by_unit(units: Sequence[str], there: Bool) -> tuple[npt.NDArray[np.intp], Bool]:
    """Return the number of each image's group (N,), and which classes each group has (U, K)."""
    names, unit = np.unique(units, return_inverse=True)
    has = np.zeros((len(names), there.shape[1]), np.bool_)
    np.logical_or.at(has, unit, there)
    return unit, has


def _presence(n: int, classes: Sequence[Collection[int]] | None) -> Bool:
    """Return which classes each image has, (N, K)."""
    some = classes if classes is not None else [()] * n
    known = sorted({k for ids in some for k in ids})
    return np.array([[k in ids for k in known] for ids in some], np.bool_).reshape(n, len(known))


def _left_out(there: Bool, validation: npt.NDArray[np.intp]) -> int:
    """Count the classes that are not trained on, and those that are not validated on."""
    held = np.zeros(len(there), np.bool_)
    held[validation] = True
    return int((~there[held].any(0)).sum() + (~there[~held].any(0)).sum())


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


def _split(n: int, validation: npt.NDArray[np.intp], leaks: bool) -> Split:
    held = {int(i) for i in validation}
    return Split(tuple(i for i in range(n) if i not in held), tuple(sorted(held)), leaks)
