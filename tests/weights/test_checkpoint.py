"""Checkpoints are read as tensors or refused; they fill a model whole or not at all."""

from __future__ import annotations

import io
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from eri.utils.errors import WeightsError
from eri.weights import load_into, load_state_dict


def network(width: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))


def same(left, right) -> bool:
    return set(left) == set(right) and all(torch.equal(left[key], right[key]) for key in left)


def test_a_plain_state_dict(tmp_path):
    torch.save(network().state_dict(), tmp_path / "a.pth")
    assert set(load_state_dict(tmp_path / "a.pth")) == set(network().state_dict())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {f"_orig_mod.module.{key}": value for key, value in state.items()},
        lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()},
    ],
)
def test_wrappings_come_off(tmp_path, wrap):
    state = dict(network().state_dict())
    torch.save(wrap(state), tmp_path / "a.pth")
    assert same(load_state_dict(tmp_path / "a.pth"), state)


def test_a_prefix_that_only_some_keys_have_stays(tmp_path):
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "a.pth")
    assert set(load_state_dict(tmp_path / "a.pth")) == {"module.a", "b"}


def test_safetensors(tmp_path):
    state = dict(network().state_dict())
    save_file(state, tmp_path / "a.safetensors")
    assert same(load_state_dict(tmp_path / "a.safetensors"), state)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_zip_around_one_checkpoint(tmp_path, new_format):
    state = dict(network().state_dict())
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=new_format)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("weights.pth", buffer.getvalue())
    assert same(load_state_dict(tmp_path / "a.zip"), state)


def test_the_old_format_of_torch(tmp_path):
    state = dict(network().state_dict())
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert same(load_state_dict(tmp_path / "a.pth"), state)


def test_a_pickled_module_is_refused_and_never_run(tmp_path):
    torch.save(network(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: holds more than tensors[\s\S]*state_dict\(\)"):
        load_state_dict(tmp_path / "a.pth")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_code_inside_a_checkpoint_never_runs(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": Trap(tmp_path / "ran")}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        load_state_dict(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".zip"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint at all, only words", b"PK\x03\x04 half a zip"])
def test_other_files_are_refused_by_name(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"a\{suffix}: "):
        load_state_dict(path)


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_checkpoint_is_refused(tmp_path, suffix, share):
    path = tmp_path / f"a{suffix}"
    state = {key: value.contiguous() for key, value in network(64).state_dict().items()}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match=rf"a\{suffix}: "):
        load_state_dict(path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {}])
def test_a_checkpoint_without_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"holds no tensor|expected a dictionary"):
        load_state_dict(tmp_path / "a.pth")


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        load_state_dict(tmp_path / "gone.pth")


def test_tensors_reach_the_model():
    source, target = network(), network()
    nn.init.uniform_(next(source.parameters()))
    load_into(target, source.state_dict(), origin="test")
    assert same(target.state_dict(), source.state_dict())


def test_counters_that_old_files_lack_may_be_missing():
    state = {key: value for key, value in network().state_dict().items() if "num_batches" not in key}
    load_into(network(), state, origin="test")


def test_a_misfit_lists_keys_with_both_shapes_and_changes_nothing():
    model = network(3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = {**network(5).state_dict(), "head.weight": torch.zeros(7, 5)}
    del state["1.bias"]
    with pytest.raises(WeightsError) as caught:
        load_into(model, state, origin="file.pth")
    message = caught.value.message
    assert message.startswith("file.pth: the weights are of another model, 7 tensors do not fit")
    assert "0.weight: the file has (5, 1, 3, 3), the model (3, 1, 3, 3)" in message
    assert "and 2 more" in message
    assert same(model.state_dict(), before)


def test_missing_and_superfluous_tensors_are_told_apart():
    state = {**network().state_dict(), "head.weight": torch.zeros(7, 5)}
    del state["1.bias"]
    with pytest.raises(WeightsError, match=r"1\.bias: missing in the file, the model has \(3,\)"):
        load_into(network(), state, origin="file.pth")
    with pytest.raises(WeightsError, match=r"head\.weight: only in the file, \(7, 5\)"):
        load_into(network(), state, origin="file.pth")


def test_a_classifier_may_be_ignored():
    state = {**network().state_dict(), "head.weight": torch.zeros(7, 5)}
    load_into(network(), state, origin="file.pth", ignore=("head.",))
