"""Devices are resolved or refused, and batches deal out every row once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eri.models.running import Batching, batches, forward_mode, library_versions, resolve_device, to_device
from eri.utils.errors import ConfigError, DeviceMemoryError


def test_auto_takes_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda", 0)
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


class FullDevice:
    """A model on a device whose memory holds ``room`` inputs at once; it remembers the batches that it was given."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        self.tried.append(len(inputs))
        if len(inputs) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inputs * 2


def test_out_of_memory_halves_the_batch_and_goes_on(caplog):
    model, batching, inputs = FullDevice(5), Batching(32), torch.arange(20.0)[:, None]
    assert torch.equal(batching.run(model, inputs), inputs * 2)
    assert model.tried == [20, 10, 5, 5, 5, 5]
    assert batching.size == 5
    assert [record.message for record in caplog.records] == [
        "out of GPU memory with 20 inputs at once: going on with 10",
        "out of GPU memory with 10 inputs at once: going on with 5",
    ]
    batching.run(model, inputs[:7])
    assert model.tried[6:] == [5, 2]


def test_a_device_without_room_for_one_input_is_named():
    with pytest.raises(DeviceMemoryError, match="one input"):
        Batching(8).run(FullDevice(0), torch.zeros(3, 1))


class HostTensor:
    """Stands in for a tensor on a machine with a GPU; it remembers how it was brought there."""

    is_cuda = False

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pin_memory(self) -> HostTensor:
        self.calls.append("pinned")
        return self

    def to(self, device: torch.device, non_blocking: bool = False) -> str:
        self.calls.append(f"{device} {'beside' if non_blocking else 'waiting'}")
        return "there"


def test_inputs_go_to_a_gpu_through_pinned_memory_beside_its_work():
    inputs: Any = HostTensor()
    assert to_device(inputs, torch.device("cuda:0")) == "there"
    assert inputs.calls == ["pinned", "cuda:0 beside"]
    here = torch.zeros(2)
    assert to_device(here, torch.device("cpu")) is here
