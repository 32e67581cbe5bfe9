"""A finished run over the simulated market: its truth, and what its rankers think of everyone.

The truth is an artifact that no step after the preparation reads. Here it meets the rankers that were trained without
it, so that what an experiment finds can be held against what is true.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.contracts.artifacts import ITEM_INDEX_FILE
from components.contracts.registry import CHAMPION
from components.contracts.serving import POPULAR_ITEMS, POPULAR_ITEMS_FILE, read_rollout, rollout_file
from components.contracts.tables import ITEM_INDEX, read_table
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.marketplace.truth import Truth, load_truth
from reland.generations.finding import Generation, find_generation

POPULARITY = "popularity"


@dataclass(frozen=True)
class RankedMarket:
    """A market and what rankers make of it, for U users and I items that the rankers know.

    Attributes:
        users, items: int64[U], int64[I], their index in the truth.
        scores: float32[U, I] of each ranker by its name.
        seen: bool[U, I], items of the user's history, which are not recommended again.
    """

    truth: Truth
    users: np.ndarray
    items: np.ndarray
    scores: dict[str, np.ndarray]
    seen: np.ndarray

    def top(self, scores: np.ndarray, rows: np.ndarray, length: int) -> np.ndarray:
        """The best unseen items: float[n, I] scores of the users of `rows` int64[n] -> int64[n, length] in the truth's
        index, best first, equal scores in the order of the items."""
        open_scores = np.where(self.seen[rows], -np.inf, scores)
        return self.items[np.argsort(-open_scores, axis=1, kind="stable")[:, :length]]


def truth_of(generation: Generation) -> Truth:
    """The truth of the market that a run was over.

    Raises:
        InputError: the run was over other data than a simulated market, or the truth is damaged.
    """
    folder = generation.truth
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError(f"{folder}: no truth, expected a run over a simulated market (`--dataset simulator`)")
    return load_truth(folder)


def read_ranked_market(generation: Generation) -> RankedMarket:
    """Score every user and item with every ranker of a run, in this process, without a server.

    Beside the run's variants there is `POPULARITY`, the logarithm of an item's training visits.

    Raises:
        InputError: an artifact is missing or damaged, or the run was over other data than a simulated market.
    """
    import torch

    from components.contracts.ranking_signature import HISTORY, USER_INPUTS
    from components.ranker_release.replay import Artifacts, OfflineFeatures
    from components.recommenders.ranker import load_ranker

    truth = truth_of(generation)
    rankers = generation.rankers
    features = OfflineFeatures(
        Artifacts(
            rankers=rankers,
            prepared=generation.prepared,
            matches=generation.matches,
            rationale_embeddings=generation.rationale_embeddings,
        )
    )
    user_ids = sorted(features.rationale_id)
    each = [features.of(user_id, features.rationale_id[user_id]) for user_id in user_ids]
    inputs = {name: torch.from_numpy(np.stack([one[name] for one in each])) for name in USER_INPUTS}
    item_ids = read_table(rankers / "reland" / ITEM_INDEX_FILE, ITEM_INDEX).sort_by("index")["item_id"]
    candidates = torch.arange(1, len(item_ids) + 1).expand(len(user_ids), -1)
    scores = {}
    for folder in sorted(path for path in rankers.iterdir() if path.is_dir()):
        with torch.inference_mode():
            ranker = load_ranker(folder)
            ranked, _ = ranker(**{name: inputs[name] for name in ranker.config.inputs}, candidates=candidates)
        scores[folder.name] = ranked.numpy()
    popular = read_table(rankers / "reland" / POPULAR_ITEMS_FILE, POPULAR_ITEMS)
    visits = dict(zip(popular["item_id"].to_pylist(), popular["visits"].to_pylist(), strict=True))
    popularity = np.log1p(np.array([visits[item] for item in item_ids.to_pylist()], np.float32))
    scores[POPULARITY] = np.broadcast_to(popularity, candidates.shape)
    seen = np.zeros((len(user_ids), len(item_ids) + 1), bool)
    np.put_along_axis(seen, inputs[HISTORY].numpy(), True, axis=1)
    return RankedMarket(truth, truth.user_index(pa.array(user_ids)), truth.item_index(item_ids), scores, seen[:, 1:])


def ranked_market_of_champion(settings: Settings) -> RankedMarket:
    """The market of the run that made the champion. Raises InputError as `find_generation` and `read_ranked_market`."""
    path = rollout_file(settings)
    for arm in read_rollout(path).arms:
        if arm.name == CHAMPION:
            return read_ranked_market(find_generation(settings, arm.generation))
    raise InputError(f"{path}: has no arm {CHAMPION!r}")
