from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from default_model.pool import Kind, set_shares
from default_model.trainer import DefaultModelSpec

SIZES = {"photos1": 100, "photos2": 25, "cells": 400}
KINDS = {
    "photos": Kind(share=3, sets=("photos1", "photos2")),
    "cells": Kind(share=1, sets=("cells",)),
}


def test_a_kind_s_share_is_divided_by_the_square_roots_of_its_sets() -> None:
    shares = set_shares(SIZES, KINDS)
    assert shares["cells"] == pytest.approx(0.25)
    assert shares["photos1"] == pytest.approx(0.5)
    assert shares["photos2"] == pytest.approx(0.25)


@given(st.dictionaries(st.sampled_from(sorted(SIZES)), st.integers(0, 900), min_size=1))
def test_shares_are_those_of_what_is_there(sizes: dict[str, int]) -> None:
    for kinds in (KINDS, {}):
        shares = set_shares(sizes, kinds)
        assert set(shares) == set(sizes)
        assert sum(shares.values()) == pytest.approx(1.0 if any(sizes.values()) else 0.0)
        assert all((share > 0) == (sizes[name] > 0) for name, share in shares.items())


def test_a_set_of_no_kind_or_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="The set roads is of 0 kinds"):
        set_shares(SIZES | {"roads": 3}, KINDS)
    twice = KINDS | {"again": Kind(share=1, sets=("cells",))}
    with pytest.raises(ValueError, match="The set cells is of 2 kinds"):
        set_shares(SIZES, twice)


def test_the_recipe_for_processors_can_be_read() -> None:
    path = Path(__file__).parents[2] / "default_model" / "cpu.json"
    spec = DefaultModelSpec.model_validate_json(path.read_text())
    assert sum(stage.share for stage in spec.stages) == pytest.approx(1)
    named = [name for kind in spec.kinds.values() for name in kind.sets]
    assert len(named) == len(set(named)) == 60
    assert json.loads(path.read_text())["encoder_weights"] == "imagenet"
