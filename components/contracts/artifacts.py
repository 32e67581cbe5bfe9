"""File names inside the artifacts that steps hand each other. An artifact is a folder, a report is a file.

A *report* is one JSON file: the fragment of `summary.json` (see the design) that the step is responsible for. The
summary of a run is the union of its steps' reports.
"""

from pathlib import Path
from typing import Any

from components.foundation.errors import InputError
from components.foundation.files import read_json

# prepared data
INTERACTIONS_FILE = "interactions.parquet"
ITEMS_FILE = "items.parquet"
USERS_FILE = "users.parquet"
ITEM_TOPICS_FILE = "item_topics.parquet"
QUERY_TOPICS_FILE = "query_topics.parquet"
HISTORIES_FILE = "histories.parquet"
REJECTED_FILE = "rejected.parquet"
STATISTICS_FILE = "statistics.json"
STATISTICS_PAGE_FILE = "statistics.html"
# what `--previous` continues from: accepted rows that filtering left out, accepted items, counts of rows
ACCEPTED_FOLDER = "accepted"
ACCOUNTS_FILE = "accounts.json"
VALIDATION_FILE = "validation.json"
VALIDATION_PAGE_FILE = "validation.html"
# beside the tables of `reland prepare`; the pipelines keep a simulated market's truth as an artifact of its own
TRUTH_FOLDER = "truth"

# embeddings: a folder of shards, each sorted by key
EMBEDDINGS_FILE = "part-00000.parquet"

# models (behavior encoder and ranker): no pickle crosses an artifact boundary
WEIGHTS_FILE = "weights.safetensors"
CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.json"
MODEL_CARD_FILE = "README.md"
ONNX_FILE = "model.onnx"
USER_VECTOR_ONNX_FILE = "user_vector.onnx"
ITEM_INDEX_FILE = "item_index.parquet"
TUNING_FILE = "tuning.json"  # what a language model was trained on by this platform, and how

# seeds, generation, matching
SEEDS_FILE = "seeds.parquet"
SEEDS_DIAGNOSTICS_FILE = "diagnostics.json"
SEEDS_PAGE_FILE = "seeds.html"
REQUESTS_FILE = "requests.jsonl"
SEED_REQUESTS_FILE = "seed_requests.parquet"  # which request was built for which seed user
WITHHELD_FILE = "withheld.json"  # texts of items that no request shows, because they read like an instruction
RESPONSES_FILE = "responses.jsonl"
ACCOUNT_FILE = "account.json"  # beside the responses: their calls, tokens, time and cost
RATIONALES_FILE = "rationales.parquet"
REJECTED_RATIONALES_FILE = "rejected_rationales.parquet"
MATCHES_FILE = "matches.parquet"
LINEAGE_FILE = "lineage.json"  # beside the matches: the encoder and the pool they were made with

SUMMARY_FILE = "summary.json"
MANIFEST_FILE = "manifest.json"
CONFIGURATION_FILE = "config.toml"  # of a run: its configuration, with which it can be run again


def merge_reports(reports: list[Path]) -> dict[str, Any]:
    """Union of the steps' reports; nested objects are merged key by key.

    Raises:
        InputError: two reports give one key two values.
    """
    merged: dict[str, Any] = {}
    for path in reports:
        _merge_into(merged, read_json(path), path, "")
    return merged


def _merge_into(target: dict[str, Any], fragment: dict[str, Any], source: Path, prefix: str) -> None:
    for key, value in fragment.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge_into(target[key], value, source, f"{prefix}{key}.")
        elif key in target and target[key] != value:
            raise InputError(f"{source}: {prefix}{key} is {value!r}, another step reported {target[key]!r}")
        else:
            target[key] = value
