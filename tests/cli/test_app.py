"""The command line as a user meets it: what it prints, where it writes, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from functools import partial

import pytest
import yaml

from eri.cli.app import main
from tests.factories import commands
from tests.factories.challenge_clips import write_challenge, write_system


@pytest.fixture
def run_eri(capsys, tmp_path, monkeypatch):
    """Run `eri` with arguments inside an empty folder; returns exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    return partial(commands.run_eri, capsys)


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    """A folder with a challenge of 13 clips, and all that the commands from `extract` to `submit` make of it."""
    folder = tmp_path_factory.mktemp("submitted")
    write_challenge(folder / "data")
    write_system(folder / "small.yaml", modality="multimodal")
    said = {}
    with contextlib.chdir(folder):
        for command in (["extract", "-c", "small.yaml"], ["train", "-c", "small.yaml"], ["evaluate"], ["submit"]):
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream), pytest.raises(SystemExit) as ending:
                main(command)
            assert ending.value.code == 0, stream.getvalue()
            said[command[0]] = stream.getvalue()
    return folder, said


@pytest.fixture
def place(submitted, tmp_path):
    """A copy of that folder's runs, features and submissions, in the folder that `run_eri` runs in."""
    shutil.copytree(submitted[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_help_names_every_command_and_loads_nothing_heavy():
    script = (
        "import sys\nfrom eri.cli.app import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "print('HEAVY', sorted({'torch', 'timm', 'av', 'dlib', 'cv2', 'scipy', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    for command in (
        "demo",
        "doctor",
        "probe",
        "extract",
        "train",
        "evaluate",
        "submit",
        "validate",
        "configs",
        "schema",
    ):
        assert command in output
    assert output.splitlines()[-1] == "HEAVY []"


def test_version_is_printed(run_eri):
    from eri import __version__

    assert run_eri("--version")[:2] == (0, f"{__version__}\n")


def test_the_whole_way_from_clips_to_an_accepted_submission(submitted, run_eri, place):
    _, said = submitted
    assert "13" in said["extract"]
    assert "small-seed101" in said["train"]
    assert "Empathic-Pain" in said["evaluate"]
    assert "mean" in said["evaluate"]
    code, output, _ = run_eri("validate", place / "submissions" / "small-seed101" / "predictions.csv")
    assert code == 0, output
    assert "accepted, 0 errors" in output


def test_a_second_extraction_computes_nothing(run_eri, place):
    stamps = {path: path.stat().st_mtime_ns for path in (place / "features").rglob("*.safetensors")}
    code, _, _ = run_eri("extract", "-c", "small.yaml", "--batch-size", "1")
    assert code == 0
    assert {path: path.stat().st_mtime_ns for path in (place / "features").rglob("*.safetensors")} == stamps
    assert len(stamps) == 2 * 13


@pytest.mark.slow
def test_a_broken_clip_is_named_and_the_submission_still_has_its_row(run_eri, tmp_path):
    write_challenge(tmp_path / "data")
    broken = sorted((tmp_path / "data" / "test" / "mp4").iterdir())[0]
    broken.write_bytes(b"no video")
    system = write_system(tmp_path / "small.yaml")
    code, output, _ = run_eri("extract", "-c", system)
    assert code == 3
    assert f"clip {broken.stem} failed" in output
    run_eri("train", "-c", system)
    code, output, _ = run_eri("submit")
    assert code == 0, output
    assert f"clip {broken.stem}: filled by the rule 'train-mean'" in output
    assert f"[{broken.stem}]," in (tmp_path / "submissions/small-seed101/predictions.csv").read_text(encoding="utf-8")


def test_a_wrong_submission_is_refused_with_every_line(run_eri, place):
    file = place / "submissions/small-seed101/predictions.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].replace("[", "").replace("]", "")
    lines[2] = ",".join([lines[2].split(",")[0], "nan", *lines[2].split(",")[2:]])
    wrong = place / "wrong.csv"
    wrong.write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, output, _ = run_eri("validate", wrong)
    assert code == 1
    assert "line 2: [id-brackets]" in output
    assert "line 3: [value-not-finite]" in output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("extract", "-m", "visual"), 1, "data"),
        (("train", "-m", "visual"), 1, "data"),
        (("train",), 2, "--modality"),
        (("train", "-c", "no-such-system"), 2, "yap-csm-v4"),
        (("train", "-c", "yap-csm-v4", "training.epoch=3"), 2, "training.epoch"),
        (("train", "-c", "yap-csm-v4", "-m", "audio"), 2, "contradicts"),
        (("train", "-c", "yap-csm-v4", "training.epochs"), 2, "key=value"),
        (("extract", "-c", "yap-csm-v4", "-m", "audio"), 2, "no audio features"),
        (("evaluate",), 1, "no run"),
        (("submit", "nothing"), 1, "not a run folder"),
    ],
)
def test_a_mistake_gets_one_clear_message_and_a_way_out(run_eri, arguments, code, said):
    found, _, error = run_eri(*arguments)
    assert found == code
    assert said in error
    assert error.startswith("error: ")
    assert "→" in error or said in ("key=value", "training.epoch")
    assert "Traceback" not in error


@pytest.mark.slow
def test_a_run_that_exists_is_not_overwritten_unasked(run_eri, place):
    system = "small.yaml"
    before = (place / "runs/small-seed101/best.safetensors").read_bytes()
    code, _, error = run_eri("train", "-c", system)
    assert code == 1
    for way_out in ("--resume", "--overwrite", "--name"):
        assert way_out in error
    assert (place / "runs/small-seed101/best.safetensors").read_bytes() == before
    assert run_eri("train", "-c", system, "--overwrite")[0] == 0


def test_training_before_extraction_says_which_command_is_missing(run_eri, tmp_path):
    write_challenge(tmp_path / "data")
    system = write_system(tmp_path / "small.yaml")
    code, _, error = run_eri("train", "-c", system)
    assert code == 1
    assert "eri extract" in error


def test_probe_shows_the_odd_clips_and_writes_the_table(run_eri, tmp_path):
    write_challenge(tmp_path / "data")
    missing = sorted((tmp_path / "data" / "train" / "mp4").iterdir())[0]
    missing.unlink()
    code, output, _ = run_eri("probe", "data", "-o", "clips.csv", "--workers", "0")
    assert code == 0
    assert missing.stem in output
    assert "missing" in output
    assert "seconds per thousand clips" in output
    assert len((tmp_path / "clips.csv").read_text(encoding="utf-8").splitlines()) == 14


def test_configs_lists_every_shipped_system_with_its_figure(run_eri):
    code, output, _ = run_eri("configs")
    assert code == 0
    for name in ("yap-csm-v4", "yap-csm-multimodal", "abaw-audio-baseline"):
        assert name in output
    assert ".4080" in output


def test_schema_describes_every_section(run_eri):
    code, output, _ = run_eri("schema")
    assert code == 0
    assert {"name", "modality", "visual", "audio", "model", "training"} <= set(json.loads(output)["properties"])


def test_a_saved_config_trains_the_same_run_again(run_eri, place):
    run_eri("train", "-c", "small.yaml", "training.learning_rate=0.01", "--overwrite")
    saved = place / "runs/small-seed101/config.yaml"
    assert yaml.safe_load(saved.read_text(encoding="utf-8"))["training"]["learning_rate"] == 0.01
    assert run_eri("train", "-c", saved, "--name", "again")[0] == 0
    first, again = (place / "runs" / name / "best.safetensors" for name in ("small-seed101", "again"))
    from safetensors.numpy import load_file

    left, right = load_file(first), load_file(again)
    assert all((left[name] == right[name]).all() for name in left)


@pytest.mark.slow
def test_a_cross_validation_is_submitted_by_its_name(run_eri, place):
    short = ("--folds", "2", "--seeds", "1", "--inner", "2", "--workers", "1")
    code, output, error = run_eri("cv", "-c", "small.yaml", *short)
    assert code == 0, output + error
    code, output, _ = run_eri("submit", "small-cv")
    assert code == 0, output
    assert "accepted, 0 errors" in output
    assert run_eri("evaluate", "small-cv")[0] == 1


def test_the_package_runs_as_the_command():
    shown = subprocess.run([sys.executable, "-m", "eri", "--version"], capture_output=True, text=True, check=True)
    from eri import __version__

    assert shown.stdout == f"{__version__}\n"
