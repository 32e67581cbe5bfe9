"""Settings: from the environment, typed, one clear line for a bad value."""

import re

import pytest

from components.foundation.errors import InputError
from components.foundation.settings import load_settings


def test_paths_are_absolute_and_empty_is_not_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELAND_HOME", "kept")
    monkeypatch.setenv("RELAND_DATA_DIR", "")
    settings = load_settings()
    assert settings.home == tmp_path / "kept" and settings.data_dir is None
    assert settings.resolved_model_repository == tmp_path / "kept" / "model_repository"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELAND_MAX_REJECTED", "1.5"),
        ("RELAND_MAX_REJECTED", "some"),
        ("RELAND_TABLE_ENGINE", "polars"),
        ("RELAND_TABLE_MEMORY", "much"),
        ("RELAND_TRITON_GRPC_PORT", "70000"),
        ("RELAND_VLLM_ARGUMENTS", "--tensor-parallel-size 4"),
        ("RELAND_VLLM_ARGUMENTS", "[4]"),
        ("RELAND_OPENAI_CONCURRENCY", "0"),
        ("RELAND_OPENAI_TIMEOUT", "0"),
        ("RELAND_HOME", "~nobody-of-this-name/reland"),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"setting {name}: .*'{re.escape(value)}'"):
        load_settings()


def test_an_amount_of_memory_is_told_in_words(monkeypatch):
    monkeypatch.setenv("RELAND_TABLE_MEMORY", "4")
    with pytest.raises(InputError, match="setting RELAND_TABLE_MEMORY: expected an amount of memory, as 4GiB"):
        load_settings()
    for amount in ("4GiB", "500 MB", "0.5TiB", ""):
        monkeypatch.setenv("RELAND_TABLE_MEMORY", amount)
        assert load_settings().table_memory == amount


def test_engine_arguments_are_read_as_json(monkeypatch):
    assert load_settings().vllm_engine_arguments == {}
    monkeypatch.setenv("RELAND_VLLM_ARGUMENTS", '{"tensor_parallel_size": 4}')
    assert load_settings().vllm_engine_arguments == {"tensor_parallel_size": 4}


def test_the_key_of_the_endpoint_is_not_shown(monkeypatch):
    monkeypatch.setenv("RELAND_OPENAI_API_KEY", "sk-canary")
    settings = load_settings()
    assert "canary" not in repr(settings) and settings.openai_api_key.get_secret_value() == "sk-canary"
