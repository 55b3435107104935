import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config import (
    Config,
    Settings,
    dump_config,
    known_keys,
    load_config,
    mask_secrets,
    overrides_of,
    parse_overrides,
)
from pipeline.errors import InputError

STABLE_KEYS = {
    "seed",
    "data.image_size",
    "data.train_per_class",
    "gan.family",
    "gan.scope",
    "gan.steps",
    "generate.per_class",
    "filter.min_confidence",
    "evaluate.seeds",
    "evaluate.arms",
    "runner",
}


def test_every_key_that_scripts_rely_on_exists() -> None:
    assert known_keys().keys() >= STABLE_KEYS


def test_every_key_is_described_in_the_schema() -> None:
    schema = Config.model_json_schema()
    for model in [schema, *schema["$defs"].values()]:
        for name, field in model["properties"].items():
            assert field.get("description"), name


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([32, 64, 128]),
    rate=st.floats(1e-6, 0.1),
    minutes=st.none() | st.floats(0.01, 1e6),
)
def test_dumped_configuration_loads_to_an_equal_one(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, rate: float, minutes: float | None
) -> None:
    overrides = [f"seed={seed}", f"data.image_size={size}", f"gan.lr_g={rate!r}"]
    config = load_config(None, overrides + ([] if minutes is None else [f"gan.minutes={minutes!r}"]))
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(dump_config(config), encoding="utf-8")
    assert load_config(file, []) == config
    assert dump_config(load_config(file, [])) == dump_config(config)
    assert (config.seed, config.data.image_size) == (seed, size)
    assert config.gan.lr_g is not None and math.isclose(config.gan.lr_g, rate)


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("seed: 3\ngan: {steps: 10, family: wgan_gp}\n", encoding="utf-8")
    config = load_config(file, ["gan.steps=20", "evaluate.arms=[real, gan]"])
    assert (config.seed, config.gan.steps, config.gan.family) == (3, 20, "wgan_gp")
    assert config.evaluate.arms == ("real", "gan")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("gan.stesp=3", ["'gan.stesp'", "3", "'gan.steps'"]),
        ("image_size=64", ["'image_size'", "'data.image_size'"]),
        ("gna.steps=64", ["'gna'", "'gan'"]),
        ("evaluate.seeds=0", ["'evaluate.seeds'", "0", "at least 1 and at most 1000"]),
        ("evaluate.seeds=true", ["'evaluate.seeds'", "True", "a whole number"]),
        ("gan.repeats=0", ["'gan.repeats'", "0", "at least 1 and at most 10"]),
        ("gan.repeats=11", ["'gan.repeats'", "11", "at least 1 and at most 10"]),
        ("gan.steps=1.5", ["'gan.steps'", "1.5", "a whole number"]),
        ("gan.steps=1e300", ["'gan.steps'", "1e+300", "a whole number"]),
        ("evaluate.seeds='5'", ["'evaluate.seeds'", "'5'", "a whole number"]),
        ("data.image_size=48", ["'data.image_size'", "48", "32, 64, 128"]),
        ("gan.scope=per-class", ["'gan.scope'", "'per-class'", "Did you mean 'per_class'?"]),
        ("evaluate.arms=[real, gann]", ["'evaluate.arms'", "'gann'", "Did you mean 'gan'?"]),
        ("evaluate.arms=[real]", ["'evaluate'", "one of gan, classical_gan"]),
        ("evaluate.arms=[real, gan_unfiltered]", ["'evaluate'", "one of gan, classical_gan"]),
        ("evaluate.arms=[real, gan, gan]", ["twice"]),
        ("gan.minutes=.inf", ["'gan.minutes'", "inf", "a number above 0 or null"]),
        ("data={test_fraction: 0.7, val_fraction: 0.4}", ["'data'", "at most 0.9"]),
        ("gan=3", ["'gan'", "section"]),
        ("gan.steps", ["KEY=VALUE"]),
        ("gan.steps=[", ["--set gan.steps=[", "not valid YAML"]),
        ("gan.steps={a: 1, a: 2}", ["'a' stands twice"]),
    ],
)
def test_wrong_values_are_explained(override: str, said: list[str]) -> None:
    with pytest.raises(InputError) as error:
        load_config(None, [override])
    for words in said:
        assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@given(steps=st.integers(1, 1_000_000))
def test_a_whole_number_may_be_written_as_a_float(steps: int) -> None:
    for text in (str(steps), f"{float(steps)!r}", f"{steps:.6e}"):
        read = load_config(None, [f"gan.steps={text}"]).gan.steps
        assert read == steps and isinstance(read, int), text
    assert load_config(None, ["evaluate.ratios=[1.0, 2e0]", "gan.minutes=1e1"]).evaluate.ratios == (1, 2)


@given(st.integers(1, 10**6), st.none() | st.floats(0.1, 1e3), st.sampled_from([32, 64, 128]))
def test_settings_of_one_run_hold_what_was_set_and_no_more(steps: int, minutes: float | None, size: int) -> None:
    tree = {"gan": {"steps": steps, "minutes": minutes}, "data": {"image_size": size}}
    overrides = overrides_of(Settings.model_validate(tree))
    assert parse_overrides(overrides) == tree
    assert load_config(None, overrides).model_dump(exclude_defaults=True) == {
        "gan": {"steps": steps, **({} if minutes is None else {"minutes": minutes})},
        **({} if size == 64 else {"data": {"image_size": size}}),
    }


def test_settings_of_one_run_are_described_and_bounded_and_fill_in_nothing() -> None:
    whole, part = Config.model_json_schema(), Settings.model_json_schema()
    for section in ("Gan", "Evaluate", "Serve"):
        fields = part["$defs"][f"{section}Settings"]["properties"]
        expected = whole["$defs"][f"{section}Config"]["properties"]
        assert fields == {
            name: {key: item for key, item in field.items() if key != "default"} for name, field in expected.items()
        }
    assert part["properties"].keys() == whole["properties"].keys() and "required" not in part
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Settings.model_validate({"gan": {"steps": 0}})
    with pytest.raises(ValidationError, match="Extra inputs"):
        Settings.model_validate({"gan": {"stpes": 1}})


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_override_is_accepted_or_refused_politely(key: str, value: str) -> None:
    try:
        config = load_config(None, [f"{key}={value}"])
    except InputError:
        return
    assert isinstance(config, Config)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"- a\n- b\n", "key: value"), (b"a: [\n", "line"), (b"\xff\xfe\x00", "UTF-8"), (b"seed: 1\nseed: 2\n", "twice")],
)
def test_wrong_files_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        load_config(file, [])
    assert str(file) in str(error.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml cannot be read"):
        load_config(tmp_path / "nowhere.yaml", [])


@pytest.mark.parametrize(
    "text",
    [
        "postgres://user:hunter2@db/x",
        "https://hunter2@github.com/x",
        "token=hunter2",
        "--password=hunter2",
        "{'api_key': 'hunter2', 'k': 1}",
        '{"client_secret": "hunter2"}',
        "Authorization: Bearer hunter2",
        "https://host/path?access_token=hunter2&page=2",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    masked = mask_secrets(text)
    assert "hunter2" not in masked and "***" in masked


@pytest.mark.parametrize("text", ["seed: 3", "https://host/path?page=2", "8 tokens a class", "user@example.org", ""])
def test_plain_text_is_not_masked(text: str) -> None:
    assert mask_secrets(text) == text


def test_a_value_may_begin_with_a_star() -> None:
    assert load_config(None, ["serve.train=* * * * *"]).serve.train == "* * * * *"


@pytest.mark.parametrize("key", ["inspection.learning_curve", "gan.early_stop"])
def test_a_key_that_is_true_or_false_says_so(key: str) -> None:
    with pytest.raises(InputError, match=rf"'{key}' cannot be 3; allowed: true or false"):
        load_config(None, [f"{key}=3"])


@pytest.mark.parametrize("key", ["exchange", "cluster"])
@pytest.mark.parametrize(
    "value",
    [
        "s3://key:hunter2@bucket/ganaug",
        "s3://key:hun/hunter2@bucket",
        "tcp://hunter2@host:8786",
        "user:hunter2@host:8786",
        "simplecache::s3://key:hunter2@bucket",
        "abfs://container:hunter2@account.dfs.core.windows.net",
    ],
)
@pytest.mark.parametrize("runner", ["dask", "process"])
def test_credentials_in_an_address_are_refused_and_not_repeated(key: str, value: str, runner: str) -> None:
    with pytest.raises(InputError, match=f"{key} names a user or a password .* environment") as error:
        load_config(None, [f"{key}={value}", f"runner={runner}"])
    with pytest.raises(ValidationError, match=f"{key} names a user or a password") as plain:
        Config(**{key: value, "runner": runner})
    assert "hunter2" not in f"{error.value} {plain.value}"


@pytest.mark.parametrize(
    "value",
    [
        "s3://bucket/a@b",
        "file:///mnt/a@b",
        "/mnt/a@b",
        "tcp://host:8786",
        "http://host:9000/a@b",
        "ray://[::1]:10001",
        "simplecache::s3://bucket/x",
        "abfs://container@account.dfs.core.windows.net/x",
        "abfss://container@account.dfs.core.windows.net/x",
    ],
)
def test_addresses_without_credentials_are_accepted(value: str) -> None:
    config = load_config(None, [f"exchange={value}", f"cluster={value}", "runner=dask"])
    assert config.exchange == config.cluster == value
