"""Configs: every shipped one, overrides, and everything that is refused with the way out."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import ValidationError

from eri.config import (
    DeepSpectrumConfig,
    ExperimentConfig,
    FaceConfig,
    GRUConfig,
    ImageConfig,
    ImportedConfig,
    LSTMConfig,
    Modality,
    Runtime,
    Wav2Vec2Config,
    config_names,
    config_schema,
    load_config,
    parse_config,
)
from eri.config.training import GradientTraining, HeadTraining
from eri.utils.errors import ConfigError

FOLDER = Path(__file__).parents[2] / "configs"


def experiment(**changes: Any) -> dict[str, Any]:
    """Make the least visual experiment; a change of None takes a key out."""
    values = {"name": "mine", "modality": "visual", "visual": {}, "model": {"name": "lstm"}} | changes
    return {key: value for key, value in values.items() if value is not None}


@pytest.fixture
def write(tmp_path: Path):
    def write_yaml(content: str | dict[str, Any], name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write_yaml


def test_the_shipped_configs_are_the_files_in_the_folder():
    assert config_names() == sorted(path.stem for path in FOLDER.glob("*.yaml"))
    assert {"yap-csm-v4", "yap-csm-multimodal", "abaw-audio-baseline"} <= set(config_names())


@pytest.mark.parametrize("name", config_names())
def test_every_shipped_config_loads_and_survives_being_saved(name):
    config = load_config(name)
    assert config.name == name
    assert config.description
    saved = yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))
    assert parse_config(saved) == config


def test_every_modality_has_a_shipped_config():
    assert {load_config(name).modality for name in config_names()} == set(get_args(Modality))


def test_the_extractors_are_of_the_modality_that_they_stand_under():
    for name in config_names():
        for modality, extractor in load_config(name).extractors.items():
            assert extractor.modality == modality


@pytest.mark.parametrize(
    ("audio", "kind"),
    [
        ({"extractor": "deepspectrum"}, DeepSpectrumConfig),
        ({"extractor": "wav2vec2", "layer": "mean"}, Wav2Vec2Config),
        ({"extractor": "wav2vec2", "layer": 6}, Wav2Vec2Config),
    ],
)
def test_an_audio_section_is_of_the_kind_that_it_names(audio, kind):
    config = parse_config(experiment(modality="audio", visual=None, audio=audio))
    assert isinstance(config.audio, kind)


def test_overrides_reach_every_depth_and_are_read_as_yaml():
    config = load_config(
        "yap-csm-v4",
        [
            "training.epochs=2",
            "visual.faces.detector=none",
            "visual.input_size=null",
            "training.activation=linear",
            "training.shuffle_labels=true",
            "training.learning_rate=2.5e-4",
            "name=other",
        ],
    )
    assert isinstance(config.visual, ImageConfig)
    training = config.training_of(GradientTraining)
    assert (training.epochs, config.visual.faces.detector, config.visual.input_size) == (2, "none", None)
    assert (training.activation, training.shuffle_labels, training.learning_rate) == ("linear", True, 2.5e-4)
    assert config.name == "other"
    unchanged = load_config("yap-csm-v4").training_of(GradientTraining)
    assert unchanged.epochs != 2, "an override changes nothing but its own call"


def test_an_override_makes_the_section_it_needs():
    config = load_config("yap-csm-v4", ["visual.faces.margin=0.5", "published=null"])
    assert isinstance(config.visual, ImageConfig)
    assert config.visual.faces.margin == 0.5
    assert config.published is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "not of the form section.key=value"),
        ("=2", "not of the form section.key=value"),
        ("training.learning_rate.deep=2", "'learning_rate' is a value, not a section"),
        ("training.epochs=[1", "the value is not YAML"),
        ("training.epoch=2", "training.epoch: no such setting (did you mean 'epochs'?)"),
        ("trainnig.epochs=2", "trainnig: no such setting (did you mean 'training'?)"),
        ("training.epochs=0", "training.epochs: Input should be greater than or equal to 1"),
        ("training.epochs=many", "training.epochs: Input should be a valid integer"),
        ("modality=audio", "modality 'audio' needs the section"),
        ("model.name=fusion-lstm", "does not fit modality 'visual'; use lstm or baseline-lstm or gru"),
        ("model.name=perceiver", "model: no model is named 'perceiver'"),
        ("model={name: lightgbm, rounds: 0}", "  model.rounds: Input should be"),
        ("model={name: gru, layers: 0}", "  model.layers: Input should be"),
        ("model={name: late, encoder: {name: gru, layers: 0}}", "  model.encoder.layers: Input should be"),
        ("model={name: late}", "does not fit modality 'visual'; use lstm or"),
        ("model={name: tcn, kernel_size: 4}", "has no middle row; use an odd one, or causal: true"),
        ("model={name: transformer, hidden_size: 30}", "use a multiple of 8, or other attention_heads"),
        ("model={name: transformer, longest_period: 0.1}", "must be below longest_period"),
        ("model={name: cross-attention, encoder: {name: gru, hidden_size: 30}}", "change attention_heads or encoder"),
        ("training.loss={mse: 0}", "every weight is 0"),
        ("training={batch_size: 4, loss: {pearson: 1}}", "raise batch_size, or accumulate batches, to 8 clips"),
        ("training={activation: linear, loss: {cross_entropy: 1}}", "use activation sigmoid or softmax"),
        ("training={standardize: false, regularization: {feature_noise: 1}}", "standardise, or leave the noise out"),
        ("training.regularization={modality_dropout: 0.5}", "needs several modalities, but modality is 'visual'"),
    ],
)
def test_overrides_that_do_not_fit_are_refused_by_name(override, message):
    with pytest.raises(ConfigError) as caught:
        load_config("yap-csm-v4", [override])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "cuda"}, "device: no such setting"),
        (
            {"visual": {"faces": {"detektor": "dlib"}}},
            "visual.faces.detektor: no such setting (did you mean 'detector'?)",
        ),
        ({"visual": None}, "needs the section(s) ['visual'] and no other, but the config has []"),
        ({"audio": {"extractor": "deepspectrum"}}, "needs the section(s) ['visual'] and no other"),
        (
            {"modality": "multimodal", "audio": {"extractor": "deepspectrum"}},
            "'lstm' does not fit modality 'multimodal'",
        ),
        ({"modality": "multimodal", "model": {"name": "fusion-lstm"}}, "['audio', 'visual']"),
        ({"modality": "smell"}, "modality: Input should be 'visual', 'audio' or 'multimodal'"),
        ({"name": "My Config"}, "name: String should match pattern"),
        ({"model": None}, "model: Field required"),
        ({"training": {"learning_rate": 0}}, "training.learning_rate: Input should be greater than 0"),
        ({"visual": {"frames": 0}}, "visual.frames: Input should be greater than or equal to 1"),
    ],
)
def test_contradictions_and_unknown_keys_are_refused_with_the_way_out(changes, message):
    with pytest.raises(ConfigError) as caught:
        parse_config(experiment(**changes), origin="mine.yaml")
    assert "mine.yaml" in str(caught.value)
    assert message in str(caught.value)
    assert caught.value.hint


def test_a_section_that_is_none_is_named_beside_an_unknown_key():
    with pytest.raises(ConfigError, match="2 setting") as caught:
        parse_config(experiment(model=3, device="cpu"))
    assert "model: a section of settings is expected here" in str(caught.value)
    assert "device: no such setting" in str(caught.value)


def test_all_misfits_are_told_at_once():
    with pytest.raises(ConfigError, match="3 setting") as caught:
        parse_config(experiment(name="A B", device="cpu", training={"epochs": 0}))
    assert all(key in str(caught.value) for key in ("name:", "device:", "training.epochs:"))


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "expected a mapping of sections, found NoneType"), ("- a", "found list"), ("a: [", "cannot be read as YAML")],
)
def test_a_file_that_is_no_config_is_named(write, content, message):
    path = write(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match=r"mine\.yaml: cannot be read as YAML"):
        load_config(path)


def test_a_path_and_a_name_are_told_apart(write):
    assert load_config(write(experiment())).name == "mine"
    assert load_config(str(write(experiment(), "other.yml"))).visual == ImageConfig()
    with pytest.raises(ConfigError, match="no such config file"):
        load_config("gone.yaml")
    with pytest.raises(ConfigError, match=r"no config is named 'yap'\n.*Known: .*yap-csm-v4"):
        load_config("yap")


class TestBase:
    def test_what_a_file_does_not_set_is_as_in_its_base(self, write):
        write(experiment(training={"epochs": 9, "loss": {"ccc": 0.5}}), "parent.yaml")
        heir = write({"base": "parent.yaml", "name": "heir", "training": {"loss": {"mse": 2}, "batch_size": 32}})
        config = load_config(heir, ["training.seed=7"])
        assert (config.name, config.modality, config.model) == ("heir", "visual", LSTMConfig())
        training = config.training_of(GradientTraining)
        assert (training.epochs, training.batch_size, training.seed) == (9, 32, 7)
        assert (training.loss.ccc, training.loss.mse) == (0.5, 2)

    def test_a_section_of_another_kind_takes_the_place_of_the_base_s(self, write):
        write(
            experiment(model={"name": "lstm", "hidden_size": 8}, visual={"extractor": "vgg16", "frames": 4}), "a.yaml"
        )
        same = load_config(write({"base": "a.yaml", "model": {"name": "lstm"}, "visual": {"frames": 5}}, "b.yaml"))
        assert same.model == LSTMConfig(hidden_size=8)
        assert same.visual == ImageConfig(extractor="vgg16", frames=5)
        other = load_config(write({"base": "b.yaml", "model": {"name": "gru"}, "visual": {"extractor": "resnet18"}}))
        assert other.model == GRUConfig()
        assert other.visual == ImageConfig(extractor="resnet18")

    def test_a_shipped_config_is_a_base_by_its_name(self, write):
        config = load_config(write({"base": "yap-csm-v4", "name": "mine", "training": {"epochs": 1}}))
        assert (
            config.training_of(GradientTraining).learning_rate
            == load_config("yap-csm-v4").training_of(GradientTraining).learning_rate
        )
        assert config.training_of(GradientTraining).epochs == 1

    @pytest.mark.parametrize(
        ("base", "message"),
        [
            ("gone.yaml", r"gone\.yaml: no such config file"),
            ("gone", "no config is named 'gone'"),
            (3, "base names no config: 3"),
            ("mine.yaml", r"mine\.yaml: its base mine\.yaml is based on itself"),
        ],
    )
    def test_a_base_that_is_none_is_refused(self, write, base, message):
        with pytest.raises(ConfigError, match=message):
            load_config(write({"base": base, "name": "mine"}))

    def test_bases_in_a_circle_are_refused(self, write):
        write({"base": "b.yaml"}, "a.yaml")
        with pytest.raises(ConfigError, match="is based on itself"):
            load_config(write({"base": "a.yaml"}, "b.yaml"))

    def test_an_unknown_key_of_an_heir_is_named(self, write):
        with pytest.raises(ConfigError, match=r"training\.rate: no such setting"):
            load_config(write({"base": "yap-csm-v4", "training": {"rate": 1}}))


def test_a_duplicated_key_is_refused_with_its_line(write):
    path = write("name: mine\nmodality: visual\nvisual: {}\nmodel: {name: lstm}\nname: again\n")
    with pytest.raises(ConfigError, match=r"key 'name' is duplicated\n.*line 5"):
        load_config(path)
    parts = write("a: &part {frames: 16, frames: 8}\n")
    with pytest.raises(ConfigError, match="key 'frames' is duplicated"):
        load_config(parts)


def test_small_numbers_may_be_written_as_people_write_them():
    assert (
        load_config("yap-csm-v4", ["training.learning_rate=1e-3"]).training_of(GradientTraining).learning_rate == 1e-3
    )


def test_configs_cannot_be_changed_behind_ones_back():
    config = parse_config(experiment())
    with pytest.raises(ValidationError, match="frozen"):
        config.training_of(GradientTraining).epochs = 3  # type: ignore[misc]


def test_run_time_knobs_are_no_settings():
    settings = json.dumps(ExperimentConfig.model_json_schema())
    for knob in Runtime.__dataclass_fields__:
        if knob != "batch_size":  # training has one of its own, which does change the numbers
            assert f'"{knob}"' not in settings


def test_the_schema_for_editors_names_every_section():
    schema = config_schema()
    assert {"base", "modality", "visual", "audio", "model", "training"} <= set(schema["properties"])
    assert schema["anyOf"] == [{"required": ["base"]}, {"required": ["name", "modality", "model"]}]
    assert schema["additionalProperties"] is False
    assert LSTMConfig.__name__ in schema["$defs"]
    assert FaceConfig.__name__ in schema["$defs"]


def imported(section: str, **settings: object) -> dict[str, object]:
    features = {"extractor": "imported", "name": "faus", "modality": section, **settings}
    return {"name": "mine", "modality": section, section: features, "model": {"name": "lstm"}}


@pytest.mark.parametrize("section", ["visual", "audio"])
def test_imported_features_stand_in_either_section_under_the_organisers_name(section):
    config = parse_config(imported(section, dimension=17)).extractors[section]
    assert isinstance(config, ImportedConfig)
    assert (config.name, config.modality, config.dimension) == ("FAUs", section, 17)
    assert parse_config(imported(section, name="mine")).extractors[section].model_dump()["name"] == "mine"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modality": "audio"}, "the section 'visual' asks for imported features of modality 'audio'"),
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"dimension": 0}, "dimension"),
        ({"frames": 16}, "frames"),
    ],
)
def test_imported_features_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(imported("visual", **settings))


def test_centering_a_modality_that_the_system_does_not_read_is_refused():
    with pytest.raises(ConfigError, match=r"training\.center names audio"):
        load_config("yap-csm-v4", ["training.center=[visual, audio]"])
    assert load_config("yap-csm-v4", ["training.center=[visual]"]).training_of(HeadTraining).center == ("visual",)


def test_a_misfit_is_blamed_on_who_wrote_it(tmp_path):
    with pytest.raises(ConfigError, match=r"^training.learning_rat=1 \(given beside .*yap-csm-v4.yaml\): 1 setting"):
        load_config("yap-csm-v4", ["training.learning_rat=1"])
    own = tmp_path / "own.yaml"
    own.write_text("base: yap-csm-v4\ntraining: {learning_rat: 1}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"^{own}: 1 setting"):
        load_config(own, ["training.epochs=2"])


def test_a_misspelt_config_gets_a_guess():
    with pytest.raises(ConfigError, match="did you mean 'yap-csm-v4'"):
        load_config("yap-cms-v4")
