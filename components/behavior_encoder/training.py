"""Training of behavior encoders in the one loop (`components.recommenders.training`)."""

import dataclasses
import json
from pathlib import Path

from components.behavior_encoder.encoder import BehaviorEncoder, EncoderConfig
from components.contracts.fingerprint import data_fingerprint
from components.recommenders.training.loop import Progress, TrainingPlan, TrainingTask, train
from components.recommenders.training.processes import TrainingResources


class EncoderTask(TrainingTask):
    """A task whose score is that of held-out links (`link_prediction.link_auc`).

    Attributes:
        config: of the encoder.
        prepared: the data set that it is trained on.
    """

    score_name = "link_auc"
    config: EncoderConfig
    prepared: Path

    def identity(self) -> str:
        """The encoder's configuration and the fingerprint of its data."""
        return json.dumps([dataclasses.asdict(self.config), data_fingerprint(self.prepared)])


def train_encoder(task: EncoderTask, encoder: BehaviorEncoder, resources: TrainingResources) -> Progress:
    """Train an encoder's network.

    Sets `encoder.metrics`: the mean `loss` before the chosen evaluation, its score, the chosen and the last step.

    Raises:
        InputError: as `loop.train`.
    """
    config = encoder.config
    plan = TrainingPlan(config.steps, config.evaluate_every, config.patience, config.seed)
    progress = train(task, plan, resources)
    encoder.metrics = {name: value for name, value in progress.best.items() if name != "step"} | {
        "best_step": progress.best_step,
        "steps": progress.step,
    }
    return progress
