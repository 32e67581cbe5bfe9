"""What the trainings of all rankers have in common: the budget, the learning rate, the evaluation, the identity."""

import dataclasses
import hashlib
import json
import math

import numpy as np

from components.recommenders.collaborative_ranker import CollaborativeRanker
from components.recommenders.configuration import TrainingConfig
from components.recommenders.evaluation import CUTOFF, rank_held_out
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.ranker import Ranker
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training.loop import TrainingPlan, TrainingTask

_BETAS = (0.9, 0.98)
_WARM_UP_STEPS = 100
_WARM_UP_SHARE = 0.04


class RankerTask(TrainingTask):
    """A ranker in training; scored by the full ranking of the users' validation items."""

    network: Ranker | CollaborativeRanker
    score_name = f"ndcg@{CUTOFF}"

    def __init__(
        self,
        ranker: Ranker | CollaborativeRanker,
        sequences: InteractionSequences,
        rationales: RationaleAssignments,
        config: TrainingConfig,
        device: str,
        examples: int,
    ):
        """`examples`: how many of them make a pass over the data, `batch_size` a step."""
        self.name = ranker.config.variant
        self.network = ranker.to(device)
        self.sequences = sequences
        self.rationales = rationales
        self.config = config
        self.device = device
        self.validation_users = None
        if 0 < config.validation_users < sequences.n_users:
            drawn = np.random.default_rng(config.seed).choice(sequences.n_users, config.validation_users, replace=False)
            self.validation_users = np.sort(drawn)
        self.steps_per_pass = math.ceil(examples / config.batch_size)
        steps_per_epoch = max(self.steps_per_pass, config.minimum_steps_per_epoch)
        self.plan = TrainingPlan(
            steps=config.epochs * steps_per_epoch,
            evaluate_every=config.evaluate_every * steps_per_epoch,
            patience=config.patience,
            seed=config.seed,
            gradient_norm=config.gradient_norm,
            betas=_BETAS,
        )

    def learning_rate(self, step: int) -> float:
        """Linear warm-up; then constant, or linear decay to zero, so that the last epochs settle."""
        warm_up = max(1, min(_WARM_UP_STEPS, round(_WARM_UP_SHARE * self.plan.steps)))
        if self.config.schedule == "constant":
            return self.config.learning_rate * min(step / warm_up, 1.0)
        decay = (self.plan.steps - step) / max(1, self.plan.steps - warm_up)
        return self.config.learning_rate * min(step / warm_up, decay)

    def evaluate(self) -> dict[str, float]:
        return rank_held_out(
            self.network, self.sequences, self.rationales, "valid", self.config.protocol, self.validation_users
        ).metrics()

    def identity(self) -> str:
        """Digest of the configurations and of all data that the training reads."""
        digest = hashlib.sha256()
        described = [dataclasses.asdict(self.network.config), dataclasses.asdict(self.config)]
        digest.update(json.dumps(described).encode())
        data = self.sequences
        for array in (data.items, data.offsets, data.train_lengths, data.held_out("valid")[1]):
            digest.update(array.tobytes())
        read = [self.rationales.embeddings, self.rationales.rows, self.rationales.seed_users, *self.network.texts]
        for tensor in [tensor for tensor in read if tensor is not None]:
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()
