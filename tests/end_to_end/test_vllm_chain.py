"""The whole chain with real vLLM: a small model is trained on the data at hand and asked, nothing is downloaded."""

import json

import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import RATIONALES_FILE


@pytest.mark.vllm
def test_a_model_trained_from_nothing_writes_every_rationale(
    reland, monkeypatch, vllm_python, triton_environment, tmp_path
):
    monkeypatch.setenv("RELAND_VLLM_PYTHON", str(vllm_python))

    engine = ("--rationale-engine", "vllm", "--language-model", "scratch")
    outcome = reland("run", "--dataset", "simulator:100", *engine, "--epochs", "1", "--json")

    assert outcome.status == 0, outcome.error
    summary = json.loads(outcome.output)
    cost, seeds = summary["generation_cost"], summary["seeds"]["count"]
    assert cost["engine"] == "vllm" and cost["model"].startswith("reland-scratch-")
    assert 0 < cost["inferences"] - cost["asked_again"] <= seeds
    assert cost["prompt_tokens"] > 0 and cost["completion_tokens"] > 0
    assert cost["rejected"] == 0 and summary["pool"]["size"] == seeds > 0
    (rationales,) = tmp_path.glob(f"home/pipelines/*/validate-rationales/rationales/{RATIONALES_FILE}")
    table = pq.read_table(rationales)
    assert table.num_rows == seeds and set(table["model"].to_pylist()) == {cost["model"]}
    assert all(table["preference_summary"].to_pylist()) and all(table["categories"].to_pylist())
    assert summary["release"]["smoke_request_ok"] is True
