"""What is known of a batch beforehand, or is the same in all its clips, changes the way but not the numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from eri.models.encoders.recurrent import run_recurrent
from eri.models.sequences import Sequences


def batch(lengths: list[int], *, known: bool) -> Sequences:
    """Clips whose rows stand at the front, with something else behind them."""
    counts = torch.tensor(lengths)
    values = torch.randn(len(lengths), max(1, *lengths), 3, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(values.shape[1]) < counts[:, None]
    return Sequences(values, mask, counts=counts if known else None)


def parts(sequences: Sequences) -> list[Tensor]:
    return [sequences.values, sequences.mask, sequences.times.masked_fill(~sequences.mask, 0.0), sequences.lengths]


@pytest.mark.parametrize("lengths", [[4, 4, 4], [2, 4, 1], [0, 3], [0, 0]])
def test_counts_that_are_known_change_nothing(lengths):
    known, counted = (batch(lengths, known=known).compact() for known in (True, False))
    for own, other in zip(parts(known), parts(counted), strict=True):
        assert torch.equal(own, other)
    assert known.counts is not None
    assert counted.counts is not None
    assert known.counts.tolist() == counted.counts.tolist() == lengths
    torch.testing.assert_close(known.centered().values, counted.centered().values)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [[4, 4, 4], [2, 4, 1], [0, 3]])
def test_a_recurrent_net_reads_each_clip_as_if_alone(kind, bidirectional, lengths):
    torch.manual_seed(1)
    net = kind(3, 5, num_layers=2, batch_first=True, bidirectional=bidirectional)
    sequences = batch(lengths, known=True).compact()
    outputs, hidden = run_recurrent(net, sequences)
    for index, length in enumerate(lengths):
        if length == 0:
            assert not outputs[index].any()
            assert not hidden[:, index].any()
            continue
        alone, state = net(sequences.values[index : index + 1, :length])
        last = state[0] if kind is nn.LSTM else state
        torch.testing.assert_close(outputs[index, :length], alone[0])
        torch.testing.assert_close(hidden[:, index], last[:, 0])
        assert not outputs[index, length:].any()


def test_standardised_values_are_not_written_over():
    sequences = batch([2, 2], known=True)
    before = sequences.values.clone()
    sequences.compact().centered()
    assert torch.equal(sequences.values, before)


@pytest.mark.parametrize(("last", "full"), [(True, True), (False, False)])
def test_full_means_that_every_row_is_valid(last, full):
    mask = torch.tensor([[True, True, True], [True, last, True]])
    assert Sequences(torch.zeros(2, 3, 4), mask).full is full
