"""The heterogeneous GAT as a behavior encoder, trained for link prediction (sections 3.1.1, Eq. 1, and 5).

The network is `components.recommenders.backbones.gat` on the graph of `graph`. A step draws a batch of training
interactions (u, i) as links to predict and N items uniformly, the same for all links, and a few neighbours for each of
these nodes (`neighbor_sampling`). No edge between the two ends of a link of the batch is used, whenever it was; with J
the N items,

    L = mean over (u, i) of  -log( exp(m_u . e_i) / (exp(m_u . e_i) + sum_{j in J, j != i} exp(m_u . e_j)) ).

Training and inference see the graph from one and the same second, the one after the last training interaction. After
training all vectors come from the whole graph, layer by layer (`layerwise_inference`).

Tried on Amazon Beauty without entities, one run each, judged by held-out training pairs: cosines with a temperature of
0.1, and larger batches for the same time, lower AUC and Hit@50; keeping the edges of the links, and weights that begin
as identities, lower AUC and leave Hit@50 level or a little higher.

A new user is one more user node, connected to each item of its history by the behavior that most users show and every
other that at least half as many do, with edges of average weight and age: a history of items tells neither behavior nor
time. The layers of items stay what they are.
How near that comes is measured (`inductive_agreement`).

The pairs held out to stop the training lose all their edges until it is over; the words of a query that led to one do
not. Not covered: the queries of new users.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from components.behavior_encoder.encoder import BehaviorEncoder, EncoderConfig, Weights, read_description
from components.behavior_encoder.graph import read_graph
from components.behavior_encoder.histories import item_histories, read_histories
from components.behavior_encoder.identifiers import Identifiers
from components.behavior_encoder.inductive import inductive_agreement
from components.behavior_encoder.layerwise_inference import layerwise_vectors
from components.behavior_encoder.link_prediction import HeldOutPairs, hold_out, link_auc
from components.behavior_encoder.neighbor_sampling import VectorizedNeighborSampler
from components.behavior_encoder.training import EncoderTask, train_encoder
from components.behavior_encoder.user_vectors import USER_VECTORS, UserVectors
from components.contracts.lineage import training_lineage
from components.contracts.tables import BEHAVIORS
from components.foundation.errors import InputError
from components.recommenders.backbones.gat import EDGE_FEATURES, HeterogeneousGAT, edge_features
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.training.loop import step_generator
from components.recommenders.training.processes import Share, TrainingResources

ITEM_VECTORS = "item_vectors"
ITEM_LAYERS = "item_layers"
EDGES_OF_NEW_USERS = "edges_of_new_users"
NETWORK_PREFIX = "network."

# Whole-base inference looks at no more edges of one type into a node: a hub's latest thousand speak for it.
LATEST_EDGES = 1_000
_SEEDS_AT_ONCE = 1_024


@dataclass(frozen=True, kw_only=True)
class GATConfig(EncoderConfig):
    """What the GAT has beside the common settings.

    Attributes:
        layers: of the network, so many hops away lies the farthest neighbour that a vector depends on.
        heads: of attention in each layer; a divisor of the dimension.
        dropout: share of the components that training drops, 0 or more and below 1.
        neighbors: neighbours drawn for a node, of each edge type and in each layer; -1: all.
        negatives: N, items drawn for each batch.
        batch_size: links in a step.
        learning_rate: of Adam, at the start; it falls to zero along half a cosine.
        entities: brands, categories, topics and queries are in the graph; without, users and items alone.
    """

    steps: int = 1_000
    evaluate_every: int = 100
    layers: int = 2
    heads: int = 4
    dropout: float = 0.0
    neighbors: int = 10
    negatives: int = 1024
    batch_size: int = 512
    learning_rate: float = 1e-2
    entities: bool = True


class GATEncoder(BehaviorEncoder):
    """Vectors of users and items, and what encodes new users: layers of items and the part of the network for users."""

    name = "gat"
    config_type = GATConfig
    config: GATConfig

    def fit(self, prepared: Path, resources: TrainingResources) -> None:
        """Train on the graph of all behaviors, and keep the vectors of all users and of each layer of the items."""
        sequences = read_histories(prepared)
        self.lineage = training_lineage(prepared)
        self.user_ids, self.item_ids = Identifiers(sequences.user_ids), Identifiers(sequences.item_ids)
        task = _GATTask(prepared, sequences, self.config, resources)
        train_encoder(task, self, resources)
        network = task.network
        every_item = torch.arange(len(self.item_ids), device=network.user.device)
        before = [network.initial("item", every_item).detach().cpu()]
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # all layers of all users would fill the memory
            layers = layerwise_vectors(network, task.graph, task.now, latest=LATEST_EDGES, folder=Path(folder))
            users, self._items = (torch.from_numpy(np.array(layers[-1][kind])) for kind in ("user", "item"))
            self._item_layers = torch.stack([*before, *(torch.from_numpy(layer["item"]) for layer in layers[:-1])])
        users[torch.from_numpy(sequences.train_lengths == 0)] = 0  # without a training interaction
        self._users = UserVectors(users)
        self._prepare_for_new_users(network, task)
        self.metrics |= inductive_agreement(self, sequences)

    def _prepare_for_new_users(self, network: HeterogeneousGAT, task: "_GATTask") -> None:
        """Cut out of the network what users need that are connected to items alone."""
        active = {name: len(task.graph["user", name, "item"].edge_index[0].unique()) for name in task.behaviors}
        self._behaviors = [name for name in task.behaviors if 2 * active[name] >= max(active.values())]
        chosen = [_into_users(name) for name in self._behaviors]
        stores = [task.graph[edge_type] for edge_type in chosen]
        self._edges = torch.stack([edge_features(x.weight, x.time, task.now).mean(dim=0) for x in stores])
        trained = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        for depth, layer in enumerate(network.gat_layers()):
            # Attention over no edge at all still adds its bias: those of the other types go with the first chosen one.
            first = trained[f"layers.{depth}.convolutions.{'__'.join(chosen[0])}.bias"]
            for other in [edge_type for edge_type in layer.edge_types_into("user") if edge_type not in chosen]:
                first += trained[f"layers.{depth}.convolutions.{'__'.join(other)}.bias"]
        self._network = _network_of_new_users(self._behaviors, self.config)
        self._network.load_state_dict({name: trained[name] for name in self._network.state_dict()})

    def encode(self, users: InteractionSequences) -> np.ndarray:
        """The stored vectors of these users."""
        self.check_items(users.item_ids)
        return self._users.rows(self.rows_of(users.user_ids))

    @torch.no_grad()
    def encode_new(self, histories: Sequence[Sequence[str]]) -> np.ndarray:
        """Attend from a new user's node to the stored vectors of its items, layer by layer."""
        vectors = np.zeros((len(histories), self.config.dimension), np.float32)
        for start in range(0, len(histories), _SEEDS_AT_ONCE):
            sequences = item_histories(self.item_ids, histories[start : start + _SEEDS_AT_ONCE])
            users, items = (torch.from_numpy(part) for part in sequences.training_pairs())
            sources, positions = torch.unique(items - 1, return_inverse=True)
            edge_index = torch.stack([positions, users])
            features = [edge.expand(len(users), -1) for edge in self._edges]
            x = self._network.initial("user", torch.arange(sequences.n_users))
            for layer, item_layer in zip(self._network.gat_layers(), self._item_layers, strict=True):
                h = item_layer[sources]
                named = zip(self._behaviors, features, strict=True)
                x = layer("user", x, {_into_users(name): (h, edge_index, feature) for name, feature in named})
            has_history = sequences.train_lengths > 0
            m = self._network.read_out("user", x, torch.arange(sequences.n_users))
            vectors[start : start + sequences.n_users] = m.numpy() * has_history[:, None]
        return vectors

    def description(self) -> dict[str, Any]:
        """As for every encoder, with the behaviors that a new user's edges stand for."""
        return super().description() | {"behaviors_of_new_users": self._behaviors}

    def tensors(self) -> dict[str, Tensor]:
        """The vectors of users and items at every layer, and the network and edge features that embed new users."""
        return {
            USER_VECTORS: self._users.all(),
            ITEM_VECTORS: self._items,
            ITEM_LAYERS: self._item_layers,
            EDGES_OF_NEW_USERS: self._edges,
            **{NETWORK_PREFIX + name: value for name, value in self._network.state_dict().items()},
        }

    def restore(self, weights: Weights) -> None:
        """Rebuild the network that embeds new users; the vectors of users stay in their file."""
        if self.user_ids is None:
            raise InputError(f"{self.origin}: holds no ids of users")
        items, dimension = len(self.item_ids), self.config.dimension
        self._users = UserVectors.open(weights, len(self.user_ids), dimension)
        self._items = weights.tensor(ITEM_VECTORS, (items, dimension))
        self._item_layers = weights.tensor(ITEM_LAYERS, (self.config.layers, items, dimension))
        self._behaviors = read_description(weights.path.parent)["behaviors_of_new_users"]
        self._edges = weights.tensor(EDGES_OF_NEW_USERS, (len(self._behaviors), EDGE_FEATURES))
        self._network = _network_of_new_users(self._behaviors, self.config)
        self._network.load_state_dict(
            {
                name: weights.tensor(NETWORK_PREFIX + name, tuple(value.shape))
                for name, value in self._network.state_dict().items()
            }
        )


class _GATTask(EncoderTask):
    """Training interactions as links; those held out are kept out of the graph."""

    network: HeterogeneousGAT
    config: GATConfig

    def __init__(
        self, prepared: Path, sequences: InteractionSequences, config: GATConfig, resources: TrainingResources
    ):
        self.name = GATEncoder.name
        self.config = config
        self.prepared = prepared
        self.device = resources.device
        self.graph = read_graph(prepared, config.entities).data
        self.behaviors = [name for name in BEHAVIORS if ("user", name, "item") in self.graph.edge_types]
        if not self.behaviors:
            raise InputError("training data: no training interaction, so there is no graph to encode")
        self.now = 1 + max(int(self.graph["user", name, "item"].time.max()) for name in self.behaviors)
        self.held_out: HeldOutPairs = hold_out(sequences, config.held_out_share, step_generator(config.seed, 0))
        training_graph = _without(self.graph, self.behaviors, self.held_out)
        links = [training_graph["user", name, "item"] for name in self.behaviors]
        self.users, self.items = torch.cat([store.edge_index for store in links], dim=1)
        self.training_graph = training_graph
        fan_out = [config.neighbors] * config.layers
        self.sampler = VectorizedNeighborSampler(training_graph, fan_out, seed=config.seed)
        self.scoring_sampler = VectorizedNeighborSampler(training_graph, fan_out, seed=config.seed + 1)
        torch.manual_seed(config.seed)
        self.network = HeterogeneousGAT(
            {kind: self.graph[kind].num_nodes for kind in self.graph.node_types},
            self.graph.edge_types,
            config.dimension,
            config.layers,
            config.heads,
            config.dropout,
        ).to(self.device)

    def learning_rate(self, step: int) -> float:
        return self.config.learning_rate * (1 + math.cos(math.pi * step / (self.config.steps + 1))) / 2

    def loss(self, step: int, share: Share) -> Tensor:
        generator = step_generator(self.config.seed, step)
        size = min(self.config.batch_size, len(self.users))
        drawn = torch.randint(len(self.users), (size,), generator=generator)
        others = torch.randint(self.graph["item"].num_nodes, (self.config.negatives,), generator=generator)
        chosen = share.of(drawn)
        if not len(chosen):  # more processes than links
            return self.network.user.sum() * 0
        users, user_rows = torch.unique(self.users[chosen], return_inverse=True)
        items, item_rows = torch.unique(torch.cat([self.items[chosen], others]), return_inverse=True)
        self.sampler.calls = step * share.world + share.rank
        vectors = self._vectors(self.sampler, {"user": users, "item": items}, (self.users[drawn], self.items[drawn]))
        m, e = vectors["user"][user_rows.to(self.device)], vectors["item"][item_rows.to(self.device)]
        positive = (m * e[: len(chosen)]).sum(dim=1, keepdim=True)  # [B, 1]
        is_positive = (self.items[chosen][:, None] == others).to(self.device)
        negative = (m @ e[len(chosen) :].T).masked_fill(is_positive, -torch.inf)  # [B, N]
        scores = torch.cat([positive, negative], dim=1).float()
        return (scores.logsumexp(dim=1) - scores[:, 0]).sum() / size

    def evaluate(self) -> dict[str, float]:
        pairs = self.held_out
        if not len(pairs.users):
            return {}
        self.scoring_sampler.calls = 0  # every evaluation draws the same neighbours
        named = torch.cat([pairs.items[:, None], pairs.others], dim=1)
        items, rows = torch.unique(named, return_inverse=True)
        pairs_by_row = HeldOutPairs(pairs.users, rows[:, 0], rows[:, 1:])
        auc = link_auc(self._all_vectors("user", pairs.users), self._all_vectors("item", items), pairs_by_row)
        return {self.score_name: auc}

    def _all_vectors(self, kind: str, nodes: Tensor) -> Tensor:
        """Vectors of nodes of one type, float32[n, d], in mini-batches."""
        parts = nodes.split(_SEEDS_AT_ONCE)
        return torch.cat([self._vectors(self.scoring_sampler, {kind: part})[kind].float() for part in parts])

    def _vectors(
        self, sampler: VectorizedNeighborSampler, seeds: dict[str, Tensor], hidden: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Vectors of seeds from drawn neighbours, float32[S, d] for each node type; no edge of `hidden` pairs is used.

        Args:
            seeds: int64[S], distinct, for each node type that has any.
            hidden: users and items of the pairs, int64[H] each.
        """
        sample = sampler.sample(seeds)
        assert sample.edge is not None and sample.num_sampled_edges is not None
        edge_index, features, edge_counts = {}, {}, {}
        for edge_type, edges in sample.edge.items():
            store, links = self.training_graph[edge_type], torch.stack([sample.row[edge_type], sample.col[edge_type]])
            edge_counts[edge_type] = sample.num_sampled_edges[edge_type]
            if hidden is not None and {edge_type[0], edge_type[2]} == {"user", "item"}:
                user_end, item_end = (0, 1) if edge_type[0] == "user" else (1, 0)
                ends = store.edge_index[:, edges]
                kept = ~_are_among(ends[user_end], ends[item_end], hidden, self.graph["item"].num_nodes)
                edge_counts[edge_type] = [int(part.sum()) for part in kept.split(edge_counts[edge_type])]
                edges, links = edges[kept], links[:, kept]
            time = store.time[edges] if "time" in store else None
            features[edge_type] = edge_features(store.weight[edges], time, self.now).to(self.device)
            edge_index[edge_type] = links.to(self.device)
        vectors = self.network(
            {kind: nodes.to(self.device) for kind, nodes in sample.node.items()},
            edge_index,
            features,
            sample.num_sampled_nodes,
            edge_counts,
        )
        return {kind: vectors[kind][: len(nodes)] for kind, nodes in seeds.items()}


def _without(graph: HeteroData, behaviors: list[str], pairs: HeldOutPairs) -> HeteroData:
    """The graph less every interaction of the held-out pairs; its edges stay in their order."""
    remaining = copy.copy(graph)  # stores of its own, which share the tensors
    for behavior in behaviors:
        for edge_type, (user, item) in {("user", behavior, "item"): (0, 1), _into_users(behavior): (1, 0)}.items():
            edges = graph[edge_type].edge_index
            kept = ~_are_among(edges[user], edges[item], (pairs.users, pairs.items), graph["item"].num_nodes)
            for name, value in graph[edge_type].items():
                remaining[edge_type][name] = value[..., kept]
    return remaining


def _are_among(users: Tensor, items: Tensor, pairs: tuple[Tensor, Tensor], n_items: int) -> Tensor:
    """Whether each pair (users[k], items[k]) is one of `pairs`: bool[n]."""
    return torch.isin(users * n_items + items, pairs[0] * n_items + pairs[1])


def _into_users(behavior: str) -> EdgeType:
    return ("item", f"rev_{behavior}", "user")


def _network_of_new_users(behaviors: list[str], config: GATConfig) -> HeterogeneousGAT:
    """A network without a node of its own: users who are connected to given items."""
    edge_types = [_into_users(name) for name in behaviors]
    return HeterogeneousGAT({}, edge_types, config.dimension, config.layers, config.heads).eval()
