from __future__ import annotations

import copy

import torch
from torch import nn

from napari_clickseg.training.loop.uncompiled import AdamW


def test_it_learns_as_torchs_does_and_goes_on_from_its_state() -> None:
    torch.manual_seed(0)
    one = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    other, goes_on = copy.deepcopy(one), copy.deepcopy(one)
    groups = [[{"params": n[0].parameters()}, {"params": n[2].parameters(), "lr": 0.1}]
              for n in (one, other, goes_on)]  # fmt: skip
    optimizers = [
        make(group, lr=0.01, weight_decay=0.05)
        for make, group in zip((AdamW, torch.optim.AdamW, AdamW), groups, strict=True)
    ]
    inputs = torch.randn(5, 16, 4)
    for step, batch in enumerate(inputs):
        for network, optimizer in zip((one, other), optimizers, strict=False):
            optimizer.zero_grad()
            network(batch).square().mean().backward()
            optimizer.step()
        if step == 2:
            goes_on.load_state_dict(other.state_dict())
            optimizers[2].load_state_dict(copy.deepcopy(optimizers[1].state_dict()))
        elif step > 2:
            optimizers[2].zero_grad()
            goes_on(batch).square().mean().backward()
            optimizers[2].step()
    for a, b, c in zip(*(n.parameters() for n in (one, other, goes_on)), strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)
