"""What one run is asked to do, checked before the first step starts."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.behavior_encoder.encoders import ENCODERS, check_encoder
from components.contracts.language_model import LORA_PREFIX, LanguageModel
from components.contracts.serving import check_features_have_a_slot
from components.contracts.tables import LEAVE_ONE_OUT
from components.data_preparation.adapters.registry import is_path
from components.data_preparation.preparation import configure
from components.data_preparation.splits import parse_splits
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.fusion_ranker.variants import parse_variants
from components.language_model.budget import Ceilings, Prices
from components.language_model.engines import check_engine
from components.language_model.ledger import PARTITIONS
from components.language_model.recorded_engine import RecordedEngine
from components.llm_tuning.naming import check_loading_engine
from components.prompting.prompt_template import read_template
from components.seed_sampling.seed_users import check_seeds
from components.text_encoding.models import PACKAGED_MODEL, check_text_encoder, is_model_path
from serving.triton.server import free_ports


@dataclass(frozen=True)
class RunParameters:
    """Parameters of the pipeline `reland`, by the same names.

    Attributes:
        dataset: name of a data set, or the path of a file or folder whose format is found out.
        data_dir: folder of its files; empty: `RELAND_DATA_DIR`.
        minimum_interactions: k of the k-core filter, at least 1; a user needs 3 items in any case.
        splits: protocols of the splits, separated by commas; leave_one_out, on which the chain works, is among them.
        validate_from: first moment to validate with, of the protocol time; empty: after 80% of the rows.
        test_from: first moment to test with, likewise; empty: after 90% of the rows.
        previous: prepared folder that the data set is added to, without its own files being read again; empty: none.
        encoder: name of the behavior encoder to train, or folder of one that was trained elsewhere on the same data.
        seed_fraction: share of the users that become seed users, in (0, 1].
        seed_policy: who becomes a seed user.
        clusters: K of the representativeness-aware sampling; 0: 5% of the users.
        previous_seeds: last week's seeds.parquet, of whose seed users those stay who still fit; empty: a new sampling.
        rationale_engine: who writes the rationales.
        recorded_rationales: file of recorded answers, for the engine `recorded`.
        language_model: the model that is asked: a Hugging Face id, a folder, `scratch` or `lora:BASE`; for an endpoint
            its name there; empty where the engine needs none.
        prompt_version: how it is asked; empty: as such a model can be.
        shards: tasks among which the requests are divided, at most 64.
        attempts: how often an invalid answer is asked for again.
        max_calls: ceiling on calls of the language model, in this run; 0: none.
        max_tokens: ceiling on the tokens of prompts and answers together, likewise.
        max_cost: ceiling on what they cost at the prices that the settings state, likewise.
        text_encoder: what turns rationales and items into vectors: `all-MiniLM-L6-v2`, a Hugging Face id or a folder.
        variants: rankers to train and compare, separated by commas.
        epochs: passes over the training data, for every variant alike (small data gets more, see `TrainingConfig`).
        seed: of everything random.
    """

    dataset: str = "simulator"
    data_dir: str = ""
    minimum_interactions: int = 5
    splits: str = "leave_one_out"
    validate_from: str = ""
    test_from: str = ""
    previous: str = ""
    encoder: str = "lightgcn"
    seed_fraction: float = 0.1
    seed_policy: str = "adaptive"
    clusters: int = 0
    previous_seeds: str = ""
    rationale_engine: str = "template"
    recorded_rationales: str = ""
    language_model: str = ""
    prompt_version: str = ""
    shards: int = 1
    attempts: int = 2
    max_calls: int = 0
    max_tokens: int = 0
    max_cost: float = 0.0
    text_encoder: str = PACKAGED_MODEL
    variants: str = "id_only,reland"
    epochs: int = 12
    seed: int = 0

    def arguments(self) -> dict[str, Any]:
        """As arguments of the pipeline; paths absolute, because steps run in folders of their own."""
        return {
            **dataclasses.asdict(self),
            "dataset": _absolute(self.dataset) if is_path(self.dataset) else self.dataset,
            "data_dir": _absolute(self.data_dir),
            "previous": _absolute(self.previous),
            "encoder": self.encoder if self.encoder in ENCODERS else _absolute(self.encoder),
            "previous_seeds": _absolute(self.previous_seeds),
            "recorded_rationales": _absolute(self.recorded_rationales),
            "language_model": _absolute_model(self.language_model),
            "text_encoder": _absolute(self.text_encoder) if is_model_path(self.text_encoder) else self.text_encoder,
        }

    def read_paths(self) -> list[Path]:
        """The files and folders of this machine that the steps read."""
        told = (str(value).removeprefix(LORA_PREFIX) for value in self.arguments().values())
        return [Path(text) for text in told if text.startswith("/") and Path(text).exists()]


def check_parameters(parameters: RunParameters, settings: Settings) -> None:
    """Find what can be found wrong without reading the data.

    Raises:
        InputError: a parameter is at fault; the message names its option.
    """
    check_encoder(parameters.encoder)
    if not 0 < parameters.seed_fraction <= 1:
        raise InputError(f"--seed-fraction {parameters.seed_fraction}: expected a share in (0, 1]")
    check_seeds(parameters.seed_policy, Path(parameters.previous_seeds) if parameters.previous_seeds else None)
    if parameters.clusters < 0:
        raise InputError(f"--clusters {parameters.clusters}: expected a number of clusters, or 0 for 5% of the users")
    if parameters.epochs < 1:
        raise InputError(f"--epochs {parameters.epochs}: expected at least 1")
    parse_variants(parameters.variants)
    splits = parse_splits(parameters.splits, parameters.validate_from, parameters.test_from)
    if LEAVE_ONE_OUT not in splits.protocols:
        raise InputError(f"--splits {parameters.splits}: a run needs {LEAVE_ONE_OUT} among them, `prepare` does not")
    configure(
        parameters.dataset,
        parameters.data_dir,
        parameters.seed,
        parameters.minimum_interactions,
        settings,
        splits,
        parameters.previous,
    )
    _check_generation(parameters, settings)
    check_text_encoder(parameters.text_encoder)
    if not (settings.triton_environment / "bin" / "python").exists():
        raise InputError(
            f"setting RELAND_TRITON_ENVIRONMENT: no Python environment at {settings.triton_environment} "
            "(`make install` makes it)"
        )
    for path in (str(settings.home), *(str(value) for value in parameters.arguments().values())):
        if "python3" in path:
            raise InputError(
                f"{path}: the local runner replaces the text 'python3' in all it hands to a step; rename it"
            )
    free_ports(settings.triton_grpc_port)
    check_features_have_a_slot(settings)


def _check_generation(parameters: RunParameters, settings: Settings) -> None:
    """
    Raises:
        InputError: a parameter of the rationale generation is at fault.
    """
    check_loading_engine(parameters.language_model, parameters.rationale_engine)
    model = LanguageModel(name=parameters.language_model)
    check_engine(parameters.rationale_engine, parameters.recorded_rationales, model, settings)
    if parameters.recorded_rationales and parameters.rationale_engine != "recorded":
        raise InputError(f"--rationales is read by --rationale-engine recorded, not by {parameters.rationale_engine}")
    if not 1 <= parameters.shards <= PARTITIONS:
        raise InputError(f"--shards {parameters.shards}: expected 1 to {PARTITIONS}")
    if parameters.shards > 1 and parameters.rationale_engine == RecordedEngine.name:
        raise InputError(
            f"--shards {parameters.shards}: a file of recorded answers is handed out by one task, expected 1"
        )
    if parameters.attempts < 0:
        raise InputError(f"--attempts {parameters.attempts}: expected a number of further attempts, or 0 for none")
    ceilings = Ceilings(parameters.max_calls, parameters.max_tokens, parameters.max_cost)
    ceilings.check(Prices.of(settings))
    ceilings.share(0, parameters.shards)
    if parameters.prompt_version:
        read_template(parameters.prompt_version)


def _absolute_model(model: str) -> str:
    """A folder of weights as an absolute path, also where an adapter is tuned on it; other names as they are."""
    prefix = LORA_PREFIX if model.startswith(LORA_PREFIX) else ""
    path = _absolute(model.removeprefix(prefix))
    return prefix + path if Path(path).is_dir() else model


def _absolute(path: str) -> str:
    try:
        return str(Path(path).expanduser().absolute()) if path else ""
    except RuntimeError as error:  # an unknown ~user
        raise InputError(f"{path}: {error}") from error
