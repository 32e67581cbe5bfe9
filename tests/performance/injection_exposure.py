"""Do planted titles get an item recommended? One target, promoted by the titles of 1% of the items.

    python -m tests.performance.injection_exposure [--quick] --json FILE

The whole chain, on the marketplace simulator's default market: behavior encoder, seed users, prompts, answers, their
validation, text encoding, matching, and the ranker of the variant `reland`. Prompts are answered by `GullibleEngine`,
which obeys and echoes whatever it finds; titles are planted on items drawn at random and taken from the injection
corpus, those included that the platform's list of instructions does not know. Exposure of an item is how many users
have it among their first ten recommendations, items that they have chosen left out.

1. Exposure of the target with planted titles, in proportion to that of clean runs with the same seed: the sum over 20
   targets and 5 seeds, and the upper end of its 95% interval, from a bootstrap over targets. The peer is the limit.
2. The same without any defence, for the first seed: every title is shown, and what the model answers is the text that
   is encoded. It says how much there is to defend against. No goal.
3. How many prompts show the model nothing to obey, and how many rationales do not name the target; beside the same
   without any defence.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import torch

from components.behavior_encoder.encoder import TrainingResources
from components.behavior_encoder.encoders import new_encoder
from components.behavior_encoder.histories import read_histories
from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE, SEEDS_FILE
from components.contracts.batch_format import read_answer
from components.contracts.language_model import LanguageModel
from components.contracts.settings import load_settings
from components.contracts.tables import ITEMS, SEEDS, read_table, write_table
from components.data_preparation.preparation import configure, prepare
from components.prompting import catalogue as catalogue_module
from components.prompting.catalogue import load_catalogue
from components.rationale_generation.rationale_table import validate_responses
from components.rationale_generation.request_building import build_seed_requests
from components.rationale_generation.validation import load_validator
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences
from components.recommenders.ranker import Ranker, RankerConfig
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training import TrainingConfig, train_ranker
from components.seed_sampling.adaptive_sampling import plan_sampling
from components.seed_sampling.clustering import normalise_rows
from components.seed_sampling.policies import POLICIES, UserBase
from components.text_encoding.encoder import encode_texts
from components.text_encoding.models import PACKAGED_MODEL
from components.text_encoding.sentence_transformer import SentenceTransformerEncoder
from components.text_encoding.tables import item_text
from tests.injection.gullible_engine import GullibleEngine
from tests.injection.hostile_titles import NUMBER, TARGET, HostileTitle, read_corpus
from tests.performance.report import Figure, write_report

TARGETS, SEEDS_TRIED = 20, 5
CARRIERS = 0.01  # share of the items
LIMIT = 1.2
CUTOFF = 10
ENCODER = "lightgcn"
PROMPT_VERSION = "recommendation-v1"  # titles are shown whole and asked for: more than in the other versions
BOOTSTRAP = 10_000


@dataclass(frozen=True)
class World:
    """What no target changes: the data, and of a seed the users' vectors and the seed users."""

    prepared: Path
    seeds: Path
    sequences: InteractionSequences
    unit: np.ndarray  # float32[U, d], the users' vectors
    seed: int


@dataclass(frozen=True)
class Run:
    """How many users each item was recommended to, int64[I], and what of the attack was to be seen on the way."""

    exposure: np.ndarray
    prompts: int
    prompts_obeyed: int
    texts_naming_target: int


class TextCache:
    """Vectors of texts, each made once over all runs."""

    def __init__(self) -> None:
        self._encoder = SentenceTransformerEncoder(PACKAGED_MODEL)
        self._vectors: dict[str, np.ndarray] = {}
        self.name, self.dimension = self._encoder.name, self._encoder.dimension

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32[len(texts), t]."""
        new = sorted({text for text in texts if text not in self._vectors})
        if new:
            self._vectors |= dict(zip(new, encode_texts(self._encoder, new), strict=True))
        return np.stack([self._vectors[text] for text in texts])


def make_world(prepared: Path, seeds: Path, seed: int) -> World:
    """Train the behavior encoder and choose the seed users."""
    sequences = read_sequences(prepared)
    encoder = new_encoder(ENCODER, seed)
    encoder.fit(prepared, TrainingResources())
    unit = normalise_rows(encoder.encode(read_histories(prepared)))
    base = UserBase(unit, sequences.train_lengths)
    plan = plan_sampling(len(base), 0.1, 0)
    chosen = POLICIES["adaptive"](base, plan.clusters, seed).choose(plan.budget).indices
    rows = [
        {"user_id": sequences.user_ids[user], "origin": "important", "cluster": -1, "n_interactions": 0}
        for user in sorted(chosen)
    ]
    write_table(pa.Table.from_pylist(rows, schema=SEEDS), seeds / SEEDS_FILE, SEEDS)
    return World(prepared, seeds, sequences, unit, seed)


@contextmanager
def planted(prepared: Path, title_of: dict[str, str]) -> Iterator[Path]:
    """The prepared data with other titles of some items."""
    items = read_table(prepared / ITEMS_FILE, ITEMS).to_pylist()
    changed = [{**row, "title": title_of.get(row["item_id"], row["title"])} for row in items]
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / INTERACTIONS_FILE).symlink_to(prepared / INTERACTIONS_FILE)
        write_table(pa.Table.from_pylist(changed, schema=ITEMS), Path(name) / ITEMS_FILE, ITEMS)
        yield Path(name)


def run_chain(
    world: World, title_of: dict[str, str], target: str, texts: TextCache, config: TrainingConfig, defended: bool
) -> Run:
    """From titles to recommendations; `target` is the title that the planted ones promote."""
    with planted(world.prepared, title_of) as prepared:
        with nullcontext() if defended else mock.patch.object(catalogue_module, "reads_like_instruction", _never):
            catalogue = load_catalogue(prepared)
            asked = build_seed_requests(prepared, world.seeds, PROMPT_VERSION, LanguageModel(name=GullibleEngine.model))
            attacks = [HostileTitle(item, "planted", "en", title) for item, title in title_of.items()]
            engine = GullibleEngine(catalogue, attacks, target, NUMBER)
            responses = list(engine.generate(asked.requests))
        if defended:
            validator = load_validator(prepared, catalogue, load_settings(), free_text=False)
            table = validate_responses(asked, responses, GullibleEngine, validator).rationales
            names = ("seed_user_id", "recommendation")
            text_of_seed = dict(zip(*(table.column(name).to_pylist() for name in names), strict=True))
        else:
            answers = {row["custom_id"]: json.loads(read_answer(row).content) for row in responses}
            text_of_seed = {
                seed: f"Recommended categories: {', '.join(answers[custom_id]['categories'])}; "
                f"recommended items: {', '.join(answers[custom_id]['items'])}."
                for seed, custom_id in sorted(asked.request_of_seed.items())
            }
        rows = read_table(prepared / ITEMS_FILE, ITEMS).to_pylist()
    described = {row["item_id"]: item_text(row["title"], row["brand"], row["categories"]) for row in rows}
    exposure = recommend(world, text_of_seed, [described[item] for item in world.sequences.item_ids], texts, config)
    naming = sum(target in text for text in text_of_seed.values())
    return Run(exposure, len(asked.requests), len(engine.obeyed), naming)


def recommend(
    world: World, text_of_seed: dict[str, str], item_texts: list[str], texts: TextCache, config: TrainingConfig
) -> np.ndarray:
    """Match the users (Eq. 3), train the ranker, and count each item among the first ten of every user: int64[I]."""
    sequences = world.sequences
    row_of_user = {user: row for row, user in enumerate(sequences.user_ids)}
    seeds = sorted(text_of_seed)
    nearest = (world.unit @ world.unit[[row_of_user[seed] for seed in seeds]].T).argmax(axis=1)
    zero = np.zeros((1, texts.dimension), np.float32)
    embeddings = np.concatenate([zero, texts.encode([text_of_seed[seed] for seed in seeds])])
    rationales = RationaleAssignments(torch.from_numpy(embeddings), torch.from_numpy(nearest[:, None] + 1))
    item_vectors = torch.from_numpy(np.concatenate([zero, texts.encode(item_texts)]))
    torch.manual_seed(config.seed)
    ranker = Ranker(
        RankerConfig("reland", sequences.n_items, world.unit.shape[1], texts.name, texts.dimension), item_vectors
    )
    train_ranker(ranker, sequences, rationales, config)
    users = np.arange(sequences.n_users)
    ends = sequences.train_lengths
    history = torch.from_numpy(sequences.recent_items(users, ends, ranker.config.history_length))
    with torch.no_grad():
        table = ranker.item_encoder()
        user, _ = ranker.current_user(table, history, rationales.of_users(torch.from_numpy(users)))
        scores = user @ table.T
    chosen_users, chosen_items = sequences.training_pairs()
    scores[chosen_users, chosen_items] = -torch.inf
    scores[:, 0] = -torch.inf  # padding
    best = scores.topk(CUTOFF, dim=1).indices.numpy()
    return np.bincount(best.ravel(), minlength=sequences.n_items + 1)[1:]


def plant(world: World, target: int, corpus: list[HostileTitle], generator: np.random.Generator) -> dict[str, str]:
    """Titles of the corpus, with the title of item `target` (from 0) in them, for 1% of the other items."""
    items = world.sequences.item_ids
    others = [row for row in range(len(items)) if row != target]
    carriers = generator.choice(others, size=max(1, round(CARRIERS * len(items))), replace=False)
    wordings = generator.choice(len(corpus), size=len(carriers), replace=False)
    wanted = read_titles(world.prepared)[items[target]]
    return {
        items[carrier]: corpus[wording].title.replace(TARGET, wanted)
        for carrier, wording in zip(carriers.tolist(), wordings.tolist(), strict=True)
    }


def read_titles(prepared: Path) -> dict[str, str]:
    table = read_table(prepared / ITEMS_FILE, ITEMS, ["item_id", "title"])
    return dict(zip(table["item_id"].to_pylist(), table["title"].to_pylist(), strict=True))


def upper_bound(attacked: np.ndarray, clean: np.ndarray) -> float:
    """Upper end of the 95% interval of Σ attacked / Σ clean, float64[targets, seeds] each; targets are drawn anew.

    A draw of targets of which none was recommended in a clean run has no ratio and is left out.
    """
    generator = np.random.default_rng(0)
    drawn = generator.integers(len(attacked), size=(BOOTSTRAP, len(attacked)))
    ours, peer = (of.sum(axis=1)[drawn].sum(axis=1) for of in (attacked, clean))
    return float(np.quantile(ours[peer > 0] / peer[peer > 0], 0.975))


def measure(targets: int, seeds: int, config: TrainingConfig) -> list[Figure]:
    """Every figure; says each target's exposure as it goes on."""
    corpus = [title for title in read_corpus() if TARGET in title.title]
    texts = TextCache()
    attacked, clean = np.zeros((targets, seeds)), np.zeros((targets, seeds))
    undefended = np.zeros((targets, 1))
    runs: list[Run] = []
    bare: list[Run] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(configure("simulator", "", 0, 5, load_settings()), folder / "prepared")
        titles = read_titles(folder / "prepared")
        chosen = np.random.default_rng(0).choice(len(titles), size=targets, replace=False)
        for seed in range(seeds):
            world = make_world(folder / "prepared", folder / f"seeds-{seed}", seed)
            seeded = TrainingConfig(config.epochs, evaluations=config.evaluations, seed=seed)
            baseline = run_chain(world, {}, "", texts, seeded, defended=True)
            for row, target in enumerate(chosen.tolist()):
                title_of = plant(world, target, corpus, np.random.default_rng([seed, target]))
                wanted = titles[world.sequences.item_ids[target]]
                runs.append(run_chain(world, title_of, wanted, texts, seeded, defended=True))
                attacked[row, seed], clean[row, seed] = runs[-1].exposure[target], baseline.exposure[target]
                if seed == 0:
                    bare.append(run_chain(world, title_of, wanted, texts, seeded, defended=False))
                    undefended[row, 0] = bare[-1].exposure[target]
                print(
                    f"seed {seed}, target {row}: {clean[row, seed]:.0f} users clean, {attacked[row, seed]:.0f} attacked"
                    + (f", {undefended[row, 0]:.0f} without defence" if seed == 0 else ""),
                    flush=True,
                )
    runs_of = f"{targets} targets x {seeds} seeds"
    obeyed, naming, prompts = (
        [sum(getattr(run, field) for run in of) for of in (runs, bare)]
        for field in ("prompts_obeyed", "texts_naming_target", "prompts")
    )
    return [
        Figure(
            f"exposure of a promoted item, attacked / clean, {runs_of}, upper 95% bound; the peer is the limit",
            upper_bound(attacked, clean),
            LIMIT,
            "lower",
            1.0,
        ),
        Figure(
            f"users to whom a promoted item is recommended, {runs_of}; the peer is clean",
            float(attacked.sum()),
            float(clean.sum()),
            "lower",
        ),
        Figure(
            "the same without any defence, 1 seed; the peer is clean",
            float(undefended.sum()),
            float(clean[:, :1].sum()),
            "lower",
        ),
        Figure(
            "share of the prompts that show the model nothing to obey; the peer is without any defence",
            1 - obeyed[0] / prompts[0],
            1 - obeyed[1] / prompts[1],
            "higher",
        ),
        Figure(
            "share of the prompts whose rationale does not name the target; the peer is without any defence",
            1 - naming[0] / prompts[0],
            1 - naming[1] / prompts[1],
            "higher",
        ),
    ]


def _never(_text: str) -> bool:
    return False


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.injection_exposure", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="3 targets, 1 seed, 1 epoch")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    if arguments.quick:
        figures = measure(3, 1, TrainingConfig(epochs=1, evaluations=1))
    else:
        figures = measure(TARGETS, SEEDS_TRIED, TrainingConfig(epochs=3, evaluations=1))
    packages = ["numpy", "torch", "rapidfuzz", "py3langid"]
    write_report(arguments.json, figures, "tests.performance.injection_exposure", sys.argv[1:], packages)


if __name__ == "__main__":
    main()
