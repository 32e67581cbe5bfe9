"""Do planted titles get an item recommended? One target, promoted by the titles of 1% of the items.

    python -m tests.performance.injection_exposure [--quick] [--runs FOLDER] [--seeds N ...] --json FILE

The whole chain, on the marketplace simulator's default market: behavior encoder, seed users, prompts, answers, their
validation, text encoding, matching, and the ranker of the variant `reland`. Prompts are answered by `GullibleEngine`,
which obeys and echoes whatever it finds, and then recommends nothing but the target; titles are planted on items drawn
at random and taken from the injection corpus, those included that the platform's list of instructions does not know.
Exposure of an item is how many users have it among their first ten recommendations, items that they have chosen left
out. It is measured over 20 targets and 5 seeds, in proportion to clean runs with the same seed.

1. The chain as it is, its ranker trained on the attacked pool: the upper end of the 95% interval of the exposure, from
   a bootstrap over targets. The peer is the limit. Beside it without any defence, for the first seed: every title is
   shown, and what the model answers is the text that is encoded.
2. The same for a ranker that trusts rationales: it was trained on rationales that name what their own user has chosen,
   before the attack, and meets the attacked pool when it serves. A ranker that is trained on the attacked pool learns
   from the users' choices that what is named there is not chosen, and a defence that did nothing would look well in 1.
   This one does what a rationale says, as far as its text carries.
3. The control: the exposure in 2 without any defence. It has to be above the limit, or else 2 could not have failed.
4. How many prompts show the model nothing to obey, and how many rationales do not name the target; beside the same
   without any defence.

With `--runs`, what is measured of each target and seed is kept there, and not measured again; `--json` may then be left
out.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import torch

from components.behavior_encoder.encoders import configured_encoder
from components.behavior_encoder.histories import read_histories
from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE, SEEDS_FILE
from components.contracts.batch_format import read_answer
from components.contracts.language_model import LanguageModel
from components.contracts.tables import ITEMS, SEEDS, read_table, write_table
from components.contracts.text_encoder import PACKAGED_MODEL
from components.data_preparation.configuration import DataSection
from components.data_preparation.preparation import configure, prepare
from components.foundation.files import read_json, write_json
from components.foundation.settings import load_settings
from components.prompting import catalogue as catalogue_module
from components.prompting.catalogue import load_catalogue
from components.rationale_generation.rationale_table import validate_responses
from components.rationale_generation.request_building import build_seed_requests
from components.rationale_generation.validation import load_validator
from components.recommenders.configuration import RankerConfig, TrainingConfig
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences
from components.recommenders.ranker import Ranker
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training.processes import TrainingResources
from components.recommenders.training.rankers import train_ranker
from components.seed_sampling.adaptive_sampling import plan_sampling
from components.seed_sampling.clustering import normalise_rows
from components.seed_sampling.policies import POLICIES, UserBase
from components.text_encoding.encoder import encode_texts
from components.text_encoding.sentence_transformer import SentenceTransformerEncoder
from components.text_encoding.tables import item_text
from tests.injection.gullible_engine import GullibleEngine
from tests.injection.hostile_titles import NUMBER, TARGET, HostileTitle, read_corpus
from tests.performance.report import Figure, write_report

CARRIERS = 0.01  # share of the items
LIMIT = 1.2
CUTOFF = 10
NAMED = 3  # items, and categories, in a rationale that a ranker learns to trust
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
class Pool:
    """The rationales of the seed users, and what of the attack was to be seen on the way to them."""

    text_of_seed: dict[str, str]
    item_texts: list[str]  # of the items of the sequences, in their order
    prompts: int
    prompts_obeyed: int
    texts_naming_target: int


@dataclass(frozen=True)
class Exposure:
    """What is measured of one target and one seed: users to whom the target is recommended, prompts, rationales."""

    clean: int
    attacked: int
    undefended: int | None  # None: not measured
    trusting_clean: int
    trusting_attacked: int
    trusting_undefended: int
    prompts: int
    obeyed: int
    obeyed_undefended: int
    naming: int
    naming_undefended: int


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
    encoder = configured_encoder(ENCODER, {}, seed)
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


def make_pool(world: World, title_of: dict[str, str], target: str, defended: bool) -> Pool:
    """From titles to rationales; `target` is the title that the planted ones promote."""
    with planted(world.prepared, title_of) as prepared:
        with nullcontext() if defended else mock.patch.object(catalogue_module, "reads_like_instruction", _never):
            catalogue = load_catalogue(prepared)
            asked = build_seed_requests(prepared, world.seeds, PROMPT_VERSION, LanguageModel(name=GullibleEngine.model))
            attacks = [HostileTitle(item, "planted", "en", title) for item, title in title_of.items()]
            engine = GullibleEngine(catalogue, attacks, target, NUMBER, exclusive=True)
            responses = list(engine.generate(asked.requests))
        if defended:
            validator = load_validator(prepared, catalogue, load_settings(), free_text=False)
            table = validate_responses(asked, responses, GullibleEngine, validator).rationales
            names = ("seed_user_id", "recommendation")
            text_of_seed = dict(zip(*(table.column(name).to_pylist() for name in names), strict=True))
        else:
            answers = {row["custom_id"]: json.loads(read_answer(row).content) for row in responses}
            text_of_seed = {
                seed: recommendation(answers[custom_id]["categories"], answers[custom_id]["items"])
                for seed, custom_id in sorted(asked.request_of_seed.items())
            }
        rows = read_table(prepared / ITEMS_FILE, ITEMS).to_pylist()
    described = {row["item_id"]: item_text(row["title"], row["brand"], row["categories"]) for row in rows}
    naming = sum(target in text for text in text_of_seed.values())
    item_texts = [described[item] for item in world.sequences.item_ids]
    return Pool(text_of_seed, item_texts, len(asked.requests), len(engine.obeyed), naming)


def recommendation(categories: list[str], items: list[str]) -> str:
    """Step 2 of an answer as the validation writes it."""
    return f"Recommended categories: {', '.join(categories)}; recommended items: {', '.join(items)}."


def match(world: World, text_of_seed: dict[str, str], texts: TextCache) -> RationaleAssignments:
    """Every user's rationale is that of the most similar seed user (Eq. 3)."""
    row_of_user = {user: row for row, user in enumerate(world.sequences.user_ids)}
    seeds = sorted(text_of_seed)
    nearest = (world.unit @ world.unit[[row_of_user[seed] for seed in seeds]].T).argmax(axis=1)
    return assign(texts.encode([text_of_seed[seed] for seed in seeds]), nearest)


def assign(vectors: np.ndarray, row_of_user: np.ndarray) -> RationaleAssignments:
    """float32[R, t] and the row of each user's rationale, int64[U]."""
    return RationaleAssignments(_padded(vectors), torch.from_numpy(row_of_user[:, None] + 1))


def own_rationales(world: World, texts: TextCache) -> RationaleAssignments:
    """A rationale for every user that names three items which this user has chosen, and their categories."""
    generator = np.random.default_rng(world.seed)
    rows = {row["item_id"]: row for row in read_table(world.prepared / ITEMS_FILE, ITEMS).to_pylist()}
    users, items = world.sequences.training_pairs()
    told = []
    for user in range(world.sequences.n_users):
        own = np.unique(items[users == user])
        drawn = generator.choice(own, size=min(NAMED, len(own)), replace=False)
        named = [rows[world.sequences.item_ids[item - 1]] for item in drawn]
        categories = list(dict.fromkeys(name for row in named for name in row["categories"]))[:NAMED]
        told.append(recommendation(categories, [row["title"] for row in named]))
    return assign(texts.encode(told), np.arange(len(told)))


def train(
    world: World, rationales: RationaleAssignments, item_texts: list[str], texts: TextCache, config: TrainingConfig
) -> Ranker:
    """A ranker of the variant `reland`."""
    torch.manual_seed(config.seed)
    items = world.sequences.n_items
    ranker_config = RankerConfig(variant="reland", items=items, text_encoder=texts.name, text_dimension=texts.dimension)
    ranker = Ranker(ranker_config, _padded(texts.encode(item_texts)))
    train_ranker(ranker, world.sequences, rationales, config)
    return ranker.eval()


def count_exposure(world: World, ranker: Ranker, rationales: RationaleAssignments) -> np.ndarray:
    """How many users have each item among their first ten, int64[I]."""
    sequences = world.sequences
    users = np.arange(sequences.n_users)
    recent = sequences.recent_items(users, sequences.train_lengths, ranker.config.history_length)
    with torch.no_grad():
        table = ranker.item_table()
        user, _ = ranker.current_user(table, torch.from_numpy(recent), rationales.of_users(torch.from_numpy(users)))
        scores = user @ table.T
    chosen_users, chosen_items = sequences.training_pairs()
    scores[chosen_users, chosen_items] = -torch.inf
    scores[:, 0] = -torch.inf  # padding
    best = scores.topk(CUTOFF, dim=1).indices.numpy()
    return np.bincount(best.ravel(), minlength=sequences.n_items + 1)[1:]


def _padded(vectors: np.ndarray) -> torch.Tensor:
    """With a row of zeros before the others."""
    return torch.from_numpy(np.concatenate([np.zeros_like(vectors[:1]), vectors]))


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


@dataclass(frozen=True)
class Size:
    """How much is measured, and how long rankers are trained, in epochs; one that trusts needs longer to learn to.

    Of the others there are 125, so that `batch`, their windows a step, is half of what a run takes.
    """

    targets: int
    seeds: int
    epochs: int
    trusting_epochs: int
    batch: int = 64


FULL = Size(20, 5, 3, 12)
QUICK = Size(3, 1, 1, 3)


def measure_seed(seed: int, size: Size, prepared: Path, seeds: Path, texts: TextCache, runs: Path) -> list[Exposure]:
    """All targets of one seed; those that `runs` has are not measured again."""
    titles = read_titles(prepared)
    chosen = np.random.default_rng(0).choice(len(titles), size=size.targets, replace=False).tolist()
    files = {target: runs / f"seed-{seed}-target-{target}.json" for target in chosen}
    if not all(file.exists() for file in files.values()):
        corpus = [title for title in read_corpus() if TARGET in title.title]
        config = TrainingConfig(epochs=size.epochs, batch_size=size.batch, evaluate_every=size.epochs, seed=seed)
        world = make_world(prepared, seeds, seed)
        pool = make_pool(world, {}, TARGET, defended=True)  # which nobody names
        rationales = match(world, pool.text_of_seed, texts)
        clean = count_exposure(world, train(world, rationales, pool.item_texts, texts, config), rationales)
        longer = TrainingConfig(epochs=size.trusting_epochs, evaluate_every=size.trusting_epochs, seed=seed)
        trusting = train(world, own_rationales(world, texts), pool.item_texts, texts, longer)
        trusting_clean = count_exposure(world, trusting, rationales)
    for target, file in files.items():
        if file.exists():
            continue
        title_of = plant(world, target, corpus, np.random.default_rng([seed, target]))
        wanted = titles[world.sequences.item_ids[target]]
        pool, bare = (make_pool(world, title_of, wanted, defended) for defended in (True, False))
        defended, undefended = (match(world, of.text_of_seed, texts) for of in (pool, bare))

        def retrained(of: Pool, rationales: RationaleAssignments, target: int = target) -> int:
            ranker = train(world, rationales, of.item_texts, texts, config)
            return int(count_exposure(world, ranker, rationales)[target])

        measured = Exposure(
            clean=int(clean[target]),
            attacked=retrained(pool, defended),
            undefended=retrained(bare, undefended) if seed == 0 else None,
            trusting_clean=int(trusting_clean[target]),
            trusting_attacked=int(count_exposure(world, trusting, defended)[target]),
            trusting_undefended=int(count_exposure(world, trusting, undefended)[target]),
            prompts=pool.prompts,
            obeyed=pool.prompts_obeyed,
            obeyed_undefended=bare.prompts_obeyed,
            naming=pool.texts_naming_target,
            naming_undefended=bare.texts_naming_target,
        )
        print(f"seed {seed}, item {target}: {measured}", flush=True)
        write_json(file, asdict(measured))
    return [Exposure(**read_json(file)) for file in files.values()]


def figures_of(measured: list[list[Exposure]]) -> list[Figure]:
    """Every figure, of what was measured by seed and target."""

    def exposures(name: str) -> np.ndarray:
        """float64[targets, seeds]."""
        return np.array([[getattr(one, name) for one in of_seed] for of_seed in measured], float).T

    def total(name: str) -> float:
        return float(exposures(name).sum())

    def share(name: str) -> float:
        return 1 - total(name) / total("prompts")

    clean, trusting_clean = exposures("clean"), exposures("trusting_clean")
    runs_of = f"{len(clean)} targets x {len(measured)} seeds"
    bound = "exposure of a promoted item, attacked / clean, upper 95% bound; the peer is the limit"
    users = "users to whom a promoted item is recommended; the peer is clean"
    trusting = f"ranker that trusts rationales, {runs_of}"
    retrained = [(one.undefended, one.clean) for of_seed in measured for one in of_seed if one.undefended is not None]
    return [
        Figure(f"chain, {runs_of}: {bound}", upper_bound(exposures("attacked"), clean), LIMIT, "lower", 1.0),
        Figure(f"chain, {runs_of}: {users}", total("attacked"), total("clean"), "lower"),
        Figure(
            f"chain without any defence, {len(retrained)} targets x 1 seed: {users}",
            float(sum(undefended for undefended, _ in retrained)),
            float(sum(clean for _, clean in retrained)),
            "lower",
        ),
        Figure(
            f"{trusting}: {bound}", upper_bound(exposures("trusting_attacked"), trusting_clean), LIMIT, "lower", 1.0
        ),
        Figure(f"{trusting}: {users}", total("trusting_attacked"), total("trusting_clean"), "lower"),
        Figure(
            f"control, {trusting}: exposure of a promoted item without any defence / clean; the peer is the limit, "
            "which it has to exceed",
            total("trusting_undefended") / total("trusting_clean"),
            LIMIT,
            "higher",
            1.0,
        ),
        Figure(
            "share of the prompts that show the model nothing to obey; the peer is without any defence",
            share("obeyed"),
            share("obeyed_undefended"),
            "higher",
        ),
        Figure(
            "share of the prompts whose rationale does not name the target; the peer is without any defence",
            share("naming"),
            share("naming_undefended"),
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
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help="keep what is measured, and go on from it")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="these seeds alone; default: 0 to 4")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    if not arguments.json and not arguments.runs:
        parser.error("expected --json FILE, --runs FOLDER or both")
    size = QUICK if arguments.quick else FULL
    texts = TextCache()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(configure(DataSection(), 0, load_settings()), folder / "prepared")
        seeds = arguments.seeds or range(size.seeds)
        measured = [
            measure_seed(seed, size, folder / "prepared", folder / f"seeds-{seed}", texts, arguments.runs or folder)
            for seed in seeds
        ]
    if arguments.json:
        packages = ["numpy", "torch", "rapidfuzz", "py3langid"]
        module = "tests.performance.injection_exposure"
        write_report(arguments.json, figures_of(measured), module, sys.argv[1:], packages)


if __name__ == "__main__":
    main()
