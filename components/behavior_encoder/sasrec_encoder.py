"""SASRec as a behavior encoder: m_u is the state of causal self-attention after a user's last training visit.

SASRec (Kang & McAuley, ICDM 2018), trained to predict each next item by cross entropy over all items, with the network,
the windows and the loss of `components.recommenders`. With h_1 .. h_T the states over the last T visits, T at most
`length`, and E the item embeddings,

    P(next = i | visits 1 .. t) = softmax_i(h_t . E_i),    m_u = h_T.

It reads histories and nothing else, so every user is encoded in one way, trained with or not. Not covered: item texts
and times between visits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.behavior_encoder.encoder import BehaviorEncoder, EncoderConfig, Weights
from components.behavior_encoder.histories import item_histories, read_histories
from components.behavior_encoder.identifiers import Identifiers
from components.behavior_encoder.inductive import inductive_agreement
from components.behavior_encoder.link_prediction import HeldOutPairs, hold_out, link_auc
from components.behavior_encoder.training import EncoderTask, train_encoder
from components.contracts.lineage import training_lineage
from components.foundation.errors import InputError
from components.recommenders.backbones.sasrec import SASRec
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.item_encoders import ItemEncoder
from components.recommenders.objectives.next_item import next_item_loss
from components.recommenders.training.loop import step_generator
from components.recommenders.training.processes import Share, TrainingResources
from components.recommenders.training.windows import WindowBatches

_USERS_AT_ONCE = 1_024
_WARM_UP = 50  # steps


@dataclass(frozen=True, kw_only=True)
class SASRecConfig(EncoderConfig):
    """What the SASRec encoder has beside the common settings.

    Attributes:
        layers: blocks of self-attention and a feed-forward network.
        heads: of attention in each layer; a divisor of the dimension.
        dropout: share of the components that training drops, 0 or more and below 1.
        length: visits of a history that are read, the latest ones.
        batch_size: windows of at most `length` visits in a step.
        learning_rate: of Adam, at its highest; it rises over 50 steps and falls to zero at the last.
    """

    steps: int = 1_000
    evaluate_every: int = 100
    layers: int = 2
    heads: int = 2
    dropout: float = 0.2
    length: int = 50
    batch_size: int = 128
    learning_rate: float = 2e-3


class SASRecEncoder(BehaviorEncoder):
    """SASRec as an encoder: a vector comes from a history alone, so none is stored for a user."""

    name = "sasrec"
    config_type = SASRecConfig
    config: SASRecConfig

    def fit(self, prepared: Path, resources: TrainingResources) -> None:
        """Train SASRec to predict the next item of each history."""
        sequences = read_histories(prepared)
        self.lineage = training_lineage(prepared)
        self.item_ids = Identifiers(sequences.item_ids)
        task = _SASRecTask(prepared, sequences, self.config, resources)
        train_encoder(task, self, resources)
        self._network = task.network.cpu().eval()
        self.metrics |= inductive_agreement(self, sequences)

    def encode(self, users: InteractionSequences) -> np.ndarray:
        """The state after each user's last training interaction."""
        self.check_items(users.item_ids)
        return _last_states(self._network, users, self.config, "cpu").numpy()

    def encode_new(self, histories: Sequence[Sequence[str]]) -> np.ndarray:
        """The state after the last item of each history."""
        return _last_states(self._network, item_histories(self.item_ids, histories), self.config, "cpu").numpy()

    def tensors(self) -> dict[str, Tensor]:
        """The weights of the network."""
        return dict(self._network.state_dict())

    def restore(self, weights: Weights) -> None:
        """Rebuild the network with the saved weights."""
        network = _Network(len(self.item_ids), self.config)
        network.load_state_dict(
            {name: weights.tensor(name, tuple(value.shape)) for name, value in network.state_dict().items()}
        )
        self._network = network.eval()


class _Network(nn.Module):
    def __init__(self, items: int, config: SASRecConfig):
        super().__init__()
        self.item_encoder = ItemEncoder(items, config.dimension, None)
        self.backbone = SASRec(config.dimension, config.layers, config.heads, config.dropout, config.length)

    def forward(self, table: Tensor, history: Tensor) -> Tensor:
        """States float32[B, T, d] after each item of histories int64[B, T], 0-padded at the end."""
        # F.embedding and not table[history]: the gradient of indexing is summed by racing threads.
        return self.backbone(F.embedding(history, table))


@torch.no_grad()
def _last_states(
    network: _Network, users: InteractionSequences, config: SASRecConfig, device: str, rows: np.ndarray | None = None
) -> Tensor:
    """float32[n, d] on the CPU, of the users at `rows`, int64[n], or of all; the zero vector without a visit."""
    rows = np.arange(users.n_users) if rows is None else rows
    visits = users.train_lengths[rows]
    vectors = torch.zeros(len(rows), config.dimension)
    visitors = np.flatnonzero(visits)
    visitors = visitors[np.argsort(visits[visitors], kind="stable")]  # similar lengths waste little on padding
    table = network.item_encoder()
    for start in range(0, len(visitors), _USERS_AT_ONCE):
        batch = visitors[start : start + _USERS_AT_ONCE]
        lengths = np.minimum(visits[batch], config.length)
        history = torch.from_numpy(users.recent_items(rows[batch], visits[batch], int(lengths.max())))
        states = network(table, history.to(device)).cpu()
        vectors[torch.from_numpy(batch)] = states[torch.arange(len(batch)), torch.from_numpy(lengths) - 1].float()
    return vectors


class _SASRecTask(EncoderTask):
    """Windows of every history; of a user with a held-out pair, the last visit is kept out."""

    network: _Network
    config: SASRecConfig

    def __init__(
        self, prepared: Path, sequences: InteractionSequences, config: SASRecConfig, resources: TrainingResources
    ):
        if not (sequences.train_lengths >= 2).any():
            raise InputError("training data: no user has two training visits, so there is no next item to predict")
        self.name = SASRecEncoder.name
        self.config = config
        self.prepared = prepared
        self.device = resources.device
        self.held_out: HeldOutPairs = hold_out(sequences, config.held_out_share, step_generator(config.seed, 0))
        lengths = sequences.train_lengths.copy()
        lengths[self.held_out.users.numpy()] -= 1
        if not (lengths >= 2).any():  # too little to hold anything out
            nothing = slice(0, 0)
            pairs = self.held_out
            self.held_out = HeldOutPairs(pairs.users[nothing], pairs.items[nothing], pairs.others[nothing])
            lengths = sequences.train_lengths
        self.sequences = replace(sequences, train_lengths=lengths)
        self.batches = WindowBatches(self.sequences, config.length, config.batch_size, config.seed)
        torch.manual_seed(config.seed)
        self.network = _Network(sequences.n_items, config).to(self.device)

    def learning_rate(self, step: int) -> float:
        """A linear rise over the first steps, then a linear fall towards zero at the last."""
        return self.config.learning_rate * min(1.0, step / _WARM_UP, 1 - (step - 1) / self.config.steps)

    def loss(self, step: int, share: Share) -> Tensor:
        _, inputs, targets = self.batches.of_step(step)
        positions = int((targets > 0).sum())
        inputs, targets = (share.of(part).to(self.device) for part in (inputs, targets))
        table = self.network.item_encoder()
        states = self.network(table, inputs)
        return next_item_loss(states.float(), table, targets, positions)

    def evaluate(self) -> dict[str, float]:
        if not len(self.held_out.users):
            return {}
        states = _last_states(self.network, self.sequences, self.config, self.device, self.held_out.users.numpy())
        return {self.score_name: link_auc(states, self.network.item_encoder().cpu()[1:], self.held_out)}
