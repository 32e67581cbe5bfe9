"""The classic recommenders on real prepared data: what every other recommender has to beat.

    python -m tests.performance.classics PREPARED ... --json FILE

PREPARED are prepared-data artifacts of `reland run`, of which the folder above `pipelines` names the data set. Each
recommender is fitted once on the training visits and ranks the validation and the test item of every user among all
items, with what the user had before masked and with nothing masked.

The settings are the defaults, which were chosen on validation with seen items masked, for both data sets together;
`item_knn as in the papers` is Deshpande & Karypis' form (whole histories, cosine), to show what recency and order give.
Seconds are for fitting and for one ranking of all users, on one thread.

The peer of each figure is popularity's.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from components.recommenders.classics.evaluation import rank_by_classic
from components.recommenders.classics.registry import CLASSICS, fit_classic
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences
from tests.performance.report import Figure, write_report

TEXTBOOK = {"window": 0, "shrinkage": 0.0, "decay": 1.0}
SPLITS = ("valid", "test")


def measure(sequences: InteractionSequences, name: str, settings: dict[str, Any]) -> dict[str, float]:
    """Metrics of one recommender by split and masking, and seconds."""
    began = time.perf_counter()
    recommender = fit_classic(name, sequences, settings)
    measured = {"seconds to fit": time.perf_counter() - began}
    for split in SPLITS:
        for masks_seen in (True, False):
            began = time.perf_counter()
            ranks = rank_by_classic(recommender, sequences, split, masks_seen)
            measured["seconds to rank for all users"] = time.perf_counter() - began
            masked = "seen items masked" if masks_seen else "nothing masked"
            measured[f"{split}, {masked}, HR@10"] = ranks.hit_ratio()
            measured[f"{split}, {masked}, NDCG@10"] = ranks.ndcg()
    return measured


def main(arguments: list[str]) -> int:
    """Measure all recommenders on all data sets that are given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", nargs="+", type=Path, help="prepared-data artifacts")
    parser.add_argument("--json", type=Path, required=True, help="result file")
    options = parser.parse_args(arguments)
    recommenders: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in CLASSICS}
    recommenders["item_knn as in the papers"] = ("item_knn", TEXTBOOK)
    figures = []
    for prepared in options.prepared:
        data = dataset_name(prepared)
        sequences = read_sequences(prepared)
        popularity: dict[str, float] = {}
        for title, (name, settings) in recommenders.items():
            measured = measure(sequences, name, settings)
            popularity = popularity or measured
            for what, value in measured.items():
                better = "lower" if what.startswith("seconds") else "higher"
                figures.append(Figure(f"{data}, {title}, {what}", value, popularity[what], better))
    write_report(options.json, figures, "tests.performance.classics", arguments, ["implicit", "numpy", "scipy"])
    return 0


def dataset_name(prepared: Path) -> str:
    """The folder that holds the `pipelines` of a run, the run's home."""
    parts = prepared.resolve().parts
    return parts[parts.index("pipelines") - 1] if "pipelines" in parts else prepared.name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
