"""Devices are resolved or refused, and batches deal out every row once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eri.errors import ConfigError
from eri.extractors.running import batches, forward_mode, library_versions, resolve_device


def test_auto_takes_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:1", "", "mps", "cuda:-1"])
def test_an_unknown_device_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="is unknown"):
        resolve_device(name)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device can be used here"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match=r"has 2 CUDA device\(s\)"):
        resolve_device("cuda:2")


@given(st.lists(st.integers(0, 20), max_size=8), st.integers(1, 9))
def test_batches_deal_every_row_once_and_are_full(counts, size):
    dealt = list(batches(counts, size))
    rows = [(clip, row) for batch in dealt for clip, part in batch for row in range(part.start, part.stop)]
    assert rows == [(clip, row) for clip, count in enumerate(counts) for row in range(count)]
    sizes = [sum(part.stop - part.start for _, part in batch) for batch in dealt]
    assert all(found == size for found in sizes[:-1])
    assert all(0 < found <= size for found in sizes)


def test_precision_holds_inside_only():
    linear = torch.nn.Linear(2, 2)
    with forward_mode(torch.device("cpu"), "bf16"):
        assert linear(torch.ones(1, 2)).dtype == torch.bfloat16
    with forward_mode(torch.device("cpu"), "float32"):
        inside = linear(torch.ones(1, 2))
    assert inside.dtype == torch.float32
    assert not inside.requires_grad
    assert linear(torch.ones(1, 2)).requires_grad


def test_versions_are_major_and_minor():
    assert library_versions("torch")["torch"] == ".".join(torch.__version__.split(".")[:2])
