"""The README's commands and Python run as they are printed, on a miniature of the challenge with smaller systems."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from eri.api.commands import DEFAULT_CONFIGS
from eri.cli.app import main
from tests.factories.challenge_clips import write_challenge, write_system

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.startswith("eri ")]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder with `data`, where the shipped names stand for systems that train in a second."""
    write_challenge(tmp_path / "data", train=12, val=8, test=3)
    shipped = tmp_path / "configs"
    shipped.mkdir()
    for modality, name in DEFAULT_CONFIGS.items():
        write_system(shipped / f"{name}.yaml", modality=modality, name=name)
    monkeypatch.setattr("eri.config.loading._shipped", lambda _: {path.stem: path for path in shipped.glob("*.yaml")})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str) -> int:
    with pytest.raises(SystemExit) as ending:
        main(shlex.split(line)[1:])
    return int(ending.value.code or 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_readme_does_what_it_says(workplace, capsys):
    assert len(COMMANDS) >= 8
    for line in COMMANDS:
        assert run(line) == 0, f"{line}\n{capsys.readouterr()}"
    assert (workplace / "submissions/yap-csm-v4-seed101/predictions.csv").is_file()
    assert (workplace / "submissions/yap-csm-v4-seed101/manifest.json").is_file()
    assert (workplace / "runs/hop-250ms/best.safetensors").is_file()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(workplace, capsys):
    (program,) = [text for kind, text in BLOCKS if kind == "python"]
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)
    assert capsys.readouterr().out.strip()
    assert names["findings"] == []


def test_make_knows_the_targets_of_the_readme():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)$", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_file_that_the_readme_points_to_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_every_command_is_shown_by_the_readme():
    from eri.cli.app import app

    groups = [group.typer_instance for group in app.registered_groups if group.typer_instance is not None]
    commands = [command for part in (app, *groups) for command in part.registered_commands]
    for command in commands:
        if command.name in ("export", "ls"):
            continue  # docs/features.md tells of these two
        name = command.name or getattr(command.callback, "__name__", "")
        assert re.search(rf"\beri (features |draw )?{name}\b", README), name


def test_every_dependency_bound_has_its_reason_beside_it():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = tomllib.loads(text)["project"]["dependencies"]
    for dependency in dependencies:
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f'"{dependency}"')]
        assert "#" in line, dependency


def test_ci_calls_what_the_readme_tells():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert [line for line in script.splitlines() if line.startswith("make")] == [
        "make test-all",
        "make demo",
        "make lint",
    ]


def test_the_lock_has_a_hash_for_every_package_and_no_address():
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path
        packages = re.findall(r"^[a-z0-9].*==.*$", text, flags=re.MULTILINE | re.IGNORECASE)
        assert packages
        assert all(line.endswith("\\") for line in packages)


def test_shipped_configs_are_readable_yaml_with_a_comment_on_top():
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("#"), path
        assert isinstance(yaml.safe_load(text), dict)
