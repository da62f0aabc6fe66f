"""Lookahead and the averaged weights: their formulas by hand, and states that are saved and restored."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer

from eri.config import LSTMConfig
from eri.config.tasks import ERI
from eri.models import Regressor
from eri.training.optimization import Lookahead, average_weights


def start() -> torch.Tensor:
    return torch.ones(2, dtype=torch.float64, requires_grad=True)


def descend(optimizer: Optimizer, lookahead: Lookahead | None, parameter: torch.Tensor, steps: int) -> list[float]:
    """Minimise half the square; return where each step led."""
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward((parameter**2).sum() / 2)
        optimizer.step()
        if lookahead is not None:
            lookahead.after_step()
        seen.append(parameter.detach()[0].item())
    return seen


class TestLookahead:
    def test_it_is_the_algorithm_by_hand(self):
        parameter = start()
        found = descend(SGD([parameter], lr=0.1), Lookahead([parameter], steps=5, share=0.5), parameter, 10)
        # Each step of SGD on θ²/2 is θ ← 0.9 θ; the fifth goes half of the way back to where the slow weights were.
        fast = [0.9, 0.9**2, 0.9**3, 0.9**4]
        after = 1 + 0.5 * (0.9**5 - 1)
        second = [after * share for share in fast]
        assert found == pytest.approx([*fast, after, *second, after + 0.5 * (after * 0.9**5 - after)], rel=1e-12)

    def test_a_share_of_one_is_the_optimiser_alone(self):
        one, other = start(), start()
        expected = descend(SGD([other], lr=0.1), None, other, 7)
        assert descend(SGD([one], lr=0.1), Lookahead([one], share=1.0), one, 7) == pytest.approx(expected)

    @pytest.mark.parametrize("stop", [0, 3, 5, 7])
    def test_a_restored_state_goes_on_as_if_nothing_had_been(self, stop, tmp_path):
        whole = start()
        expected = descend(Adam([whole], lr=0.1), Lookahead([whole]), whole, 13)
        parameter = start()
        optimizer, lookahead = Adam([parameter], lr=0.1), Lookahead([parameter])
        before = descend(optimizer, lookahead, parameter, stop)
        state = {"optimizer": optimizer.state_dict(), "lookahead": lookahead.state(), "parameter": parameter.detach()}
        torch.save(state, tmp_path / "state.pt")

        saved = torch.load(tmp_path / "state.pt", weights_only=True)
        restored = saved["parameter"].clone().requires_grad_()
        again, looking = Adam([restored], lr=0.5), Lookahead([restored])
        again.load_state_dict(saved["optimizer"])
        looking.restore(saved["lookahead"])
        assert before + descend(again, looking, restored, 13 - stop) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("settings", [{"steps": 0}, {"share": 0.0}, {"share": 1.5}])
    def test_settings_out_of_range_are_refused(self, settings: dict[str, Any]):
        with pytest.raises(ValueError, match="at least 1"):
            Lookahead([start()], **settings)


def test_the_average_follows_the_weights_by_its_formula():
    model = Regressor(LSTMConfig(hidden_size=2, dense=2), {"visual": 3}, ERI)
    average = average_weights(model, 0.5)
    begin = model.head.state_dict()["output.4.bias"].clone()
    expected = begin.clone()
    for step in range(12):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
        model.standardizers["visual"].get_buffer("mean").fill_(step)
        average.update_parameters(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (begin + step + 1)
    found = average.module.state_dict()
    assert torch.allclose(found["head.output.4.bias"], expected)
    assert torch.equal(found["standardizers.visual.mean"], torch.full((3,), 11.0))  # buffers are copied
