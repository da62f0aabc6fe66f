"""What docs/features.md shows is what happens."""

import re
import shlex
from pathlib import Path

import typer
import yaml

from eri.cli.app import app
from eri.config import ImportedConfig, load_config, parse_config
from eri.features.exchange.importing import import_features
from eri.features.store import find_folder
from tests.factories.organisers import make_table

PAGE = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the only code block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_example_of_a_file_is_imported(tmp_path):
    folder = tmp_path / "FAUs"
    folder.mkdir()
    (folder / "00042.csv").write_text(block("csv"))
    report = import_features(make_table(tmp_path, 50), folder, tmp_path / "features")
    assert report.times == "ms"
    sequence = find_folder(tmp_path / "features", ImportedConfig(name="FAUs", modality="visual")).read("00042")
    assert (sequence.embeddings.tolist(), sequence.times.tolist()) == ([[0.125, 0], [0.25, 0.5]], [0, 0.5])


def test_the_example_of_a_system_is_one():
    config = parse_config(yaml.safe_load(block("yaml")))
    assert config.extractors["visual"] == ImportedConfig(name="FAUs", modality="visual", dimension=17)


def test_the_override_of_the_baseline_is_read():
    (line,) = [line for line in block("bash").splitlines() if "eri train" in line]
    override = shlex.split(line)[-1]
    config = load_config("abaw-audio-baseline", [override])
    assert config.extractors["audio"] == ImportedConfig(name="DeepSpectrum", modality="audio")


def test_every_option_on_the_page_is_one():
    whole = typer.main.get_command(app)
    assert isinstance(whole, typer.core.TyperGroup)
    command = whole.commands["features"]
    assert isinstance(command, typer.core.TyperGroup)
    options = {option for sub in command.commands.values() for parameter in sub.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= options
    assert set(re.findall(r"eri features ([a-z]+)", PAGE)) == set(command.commands)
