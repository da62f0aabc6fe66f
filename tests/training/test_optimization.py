"""Lookahead: algorithm 1 by hand, and a state that is saved and restored."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from eri.training.optimization import Lookahead


def descend(optimizer: Lookahead, parameter: torch.Tensor, steps: int) -> list[float]:
    """Minimise half the square; return where each step led."""
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward((parameter**2).sum() / 2)
        optimizer.step()
        seen.append(parameter.detach()[0].item())
    return seen


def start() -> torch.Tensor:
    return torch.ones(2, dtype=torch.float64, requires_grad=True)


def test_it_is_the_algorithm_by_hand():
    parameter = start()
    optimizer = Lookahead(SGD([parameter], lr=0.1), steps=5, share=0.5)
    found = descend(optimizer, parameter, 10)
    # Each step of SGD on θ²/2 is θ ← 0.9 θ; the fifth goes half of the way back to where the slow weights were.
    fast = [0.9, 0.9**2, 0.9**3, 0.9**4]
    after = 1 + 0.5 * (0.9**5 - 1)
    second = [after * share for share in fast]
    assert found == pytest.approx([*fast, after, *second, after + 0.5 * (after * 0.9**5 - after)], rel=1e-12)


def test_a_share_of_one_is_the_inner_optimiser():
    one, other = start(), start()
    plain = SGD([other], lr=0.1)
    expected = []
    for _ in range(7):
        plain.zero_grad()
        torch.autograd.backward((other**2).sum() / 2)
        plain.step()
        expected.append(other.detach()[0].item())
    assert descend(Lookahead(SGD([one], lr=0.1), share=1.0), one, 7) == pytest.approx(expected)


@pytest.mark.parametrize("stop", [0, 3, 5, 7])
def test_a_restored_state_goes_on_as_if_nothing_had_been(stop, tmp_path):
    whole = start()
    expected = descend(Lookahead(Adam([whole], lr=0.1)), whole, 13)

    parameter = start()
    optimizer = Lookahead(Adam([parameter], lr=0.1))
    before = descend(optimizer, parameter, stop)
    torch.save({"optimizer": optimizer.state_dict(), "parameter": parameter.detach()}, tmp_path / "state.pt")

    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    restored = saved["parameter"].clone().requires_grad_()
    again = Lookahead(Adam([restored], lr=0.5))
    again.load_state_dict(saved["optimizer"])
    assert before + descend(again, restored, 13 - stop) == pytest.approx(expected, rel=1e-12)


def test_states_of_others_are_refused():
    optimizer = Lookahead(SGD([start()], lr=0.1))
    parameter = torch.ones(3, requires_grad=True)
    other = Lookahead(SGD([parameter], lr=0.1))
    descend(other, parameter, 1)
    with pytest.raises(ValueError, match="other parameters"):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(KeyError):
        optimizer.load_state_dict(SGD([start()], lr=0.1).state_dict())


def test_schedulers_act_on_the_inner_optimiser():
    parameter = start()
    optimizer = Lookahead(SGD([parameter], lr=0.1))
    scheduler = CosineAnnealingLR(optimizer, T_max=2)
    descend(optimizer, parameter, 1)
    scheduler.step()
    assert optimizer.inner.param_groups[0]["lr"] == pytest.approx(0.05)
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups is optimizer.inner.param_groups


def test_lightning_fabric_takes_it():
    from lightning_fabric import Fabric

    model = torch.nn.Linear(2, 1)
    wrapped, stepper = Fabric(accelerator="cpu", devices=1).setup(model, Lookahead(SGD(model.parameters(), lr=0.1)))
    before = model.weight.detach().clone()
    for _ in range(5):
        stepper.zero_grad()
        torch.autograd.backward(wrapped(torch.ones(1, 2)).sum())
        stepper.step()
    torch.testing.assert_close(model.weight.detach(), before - 0.5 * 5 * 0.1)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"share": 0.0}, {"share": 1.5}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]):
    with pytest.raises(ValueError, match="at least 1"):
        Lookahead(SGD([start()], lr=0.1), **settings)
    optimizer = Lookahead(SGD([parameter := start()], lr=0.1))
    descend(optimizer, parameter, 1)
    with pytest.raises(ValueError, match="no further parameters"):
        optimizer.add_param_group({"params": [start()]})
