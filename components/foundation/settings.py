"""Every setting of the platform, in one typed object read from the environment (`RELAND_*`).

Settings say *where things are and how much is tolerated*; what a single run does is a pipeline parameter. In a pod they
come from the `reland-settings` config map, on a laptop from the shell.
"""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.foundation.errors import InputError

ENVIRONMENT_PREFIX = "RELAND_"
# On a cluster these come from a secret. The first two are read by `feature_repo/feature_store.redis.yaml`.
SECRET_VARIABLES = ("RELAND_REDIS", "RELAND_FEAST_REGISTRY", "RELAND_OPENAI_API_KEY")


class Settings(BaseSettings):
    """Typed, frozen settings; use `load_settings` to get one clear line for a bad value."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    home: Annotated[Path, Field(description="folder of everything that is kept locally")] = Path(".reland")
    data_dir: Annotated[
        Path | None, Field(description="folder of the data sets' files, where the run's `data_dir` is empty")
    ] = None
    max_rejected: Annotated[
        float, Field(ge=0, le=1, description="largest share of rejected input rows with which a run goes on")
    ] = 0.05
    table_engine: Annotated[
        Literal["duckdb", "spark"],
        Field(description="what prepares the tables: `duckdb`, or `spark` (extra `spark`; configured as Spark is)"),
    ] = "duckdb"
    table_memory: Annotated[
        str,
        Field(
            description="memory a DuckDB engine may use, as `4GiB`; statistics have an engine of their own; "
            "empty: its default"
        ),
    ] = ""
    history_days: Annotated[
        int,
        Field(ge=0, description="days before a seed user's last interaction that a prompt includes; 0: all of them"),
    ] = 0
    items_name: Annotated[
        str, Field(pattern=r"^[\w -]{1,40}$", description="what prompts call the items, as `films` or `products`")
    ] = "items"
    answer_language: Annotated[
        str, Field(description="language that rationales have to be in, as `en`, which prompts are in; empty: any")
    ] = "en"
    forbidden_texts: Annotated[
        Path | None,
        Field(
            description="file of regular expressions that no rationale may match, one a line; "
            "empty: the list that comes with the platform"
        ),
    ] = None
    mlflow_tracking_uri: Annotated[
        str, Field(description="MLflow server; empty: SQLite and a folder under `RELAND_HOME/mlflow`")
    ] = ""
    milvus_uri: Annotated[str, Field(description="Milvus server; empty: Milvus Lite in `RELAND_HOME/milvus`")] = ""
    feature_store: Annotated[
        str, Field(description="which `feature_repo/feature_store.NAME.yaml` describes the Feast stores")
    ] = "local"
    model_repository: Annotated[
        Path | None, Field(description="Triton model repository; empty: `RELAND_HOME/model_repository`")
    ] = None
    ledger: Annotated[
        Path | None,
        Field(description="folder of the answers that were paid for, shared by all runs; empty: `RELAND_HOME/ledger`"),
    ] = None
    prompt_price: Annotated[float, Field(ge=0, description="price of a million prompt tokens, in any currency")] = 0.0
    completion_price: Annotated[float, Field(ge=0, description="price of a million tokens of answers")] = 0.0
    gpu_hour_price: Annotated[float, Field(ge=0, description="price of an hour of one GPU")] = 0.0
    gpu_tokens_per_second: Annotated[
        float,
        Field(ge=0, description="tokens of prompts and answers that one GPU gets through in a second: tells GPU-hours"),
    ] = 0.0
    triton_grpc_port: Annotated[
        int, Field(ge=0, le=65535, description="loopback port of a local Triton; 0: a free one")
    ] = 0
    triton_environment: Annotated[
        Path, Field(description="Python environment that holds tritonserver (made by `make install`)")
    ] = Path(sys.prefix).parent / ".venv-triton"
    vllm_python: Annotated[
        Path, Field(description="Python that runs vLLM, in an environment of its own (made by `make vllm`)")
    ] = Path(sys.prefix).parent / ".venv-vllm" / "bin" / "python"
    vllm_arguments: Annotated[
        str,
        Field(
            description="vLLM's engine arguments for this machine, as JSON: "
            '`{"tensor_parallel_size": 4, "quantization": "fp8"}`'
        ),
    ] = ""
    openai_base_url: Annotated[
        str, Field(description="OpenAI-compatible endpoint of the engine `openai`, as `http://vllm:8000/v1`")
    ] = ""
    openai_api_key: Annotated[
        SecretStr, Field(description="key of that endpoint, if it wants one; a secret: it is never printed")
    ] = SecretStr("")
    openai_concurrency: Annotated[int, Field(ge=1, description="requests that wait for that endpoint at a time")] = 32
    openai_timeout: Annotated[
        float, Field(gt=0, description="seconds without an answer after which a request is sent again")
    ] = 60.0

    kfp_endpoint: Annotated[
        str, Field(description="Kubeflow Pipelines' API, for `reland submit` and `schedule`, as `http://host:8888`")
    ] = ""
    kfp_namespace: Annotated[
        str, Field(description="namespace of a user's pipelines and runs; empty where there is one user")
    ] = ""
    kfp_token: Annotated[SecretStr, Field(description="token for that API; a secret: it is never printed")] = SecretStr(
        ""
    )
    kfp_token_file: Annotated[
        Path | None,
        Field(description="file of that token, read at each request, as a service account's that is renewed"),
    ] = None
    kfp_ca: Annotated[Path | None, Field(description="certificates that API is trusted by; empty: the public ones")] = (
        None
    )

    triton_grpc: Annotated[
        str, Field(description="host:port of the Triton that the gateway asks; empty: `reland serve` starts one")
    ] = ""
    triton_replicas: Annotated[
        str,
        Field(
            description="host:port of the gRPC of every Triton replica, separated by commas, a name standing for all "
            "of its addresses: a rollout confirms each; empty: `RELAND_TRITON_GRPC`, else that of `reland serve`"
        ),
    ] = ""
    rollout_grace_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="time that gateways get to take over a new record of arms before a version that it no longer "
            "names is unloaded",
        ),
    ] = 15.0
    gateway_host: Annotated[
        str, Field(description="address that the gateway listens on; another than loopback needs `RELAND_GATEWAY_AUTH`")
    ] = "127.0.0.1"
    gateway_port: Annotated[int, Field(ge=0, le=65535, description="port of the gateway; 0: a free one")] = 8080
    gateway_budget_ms: Annotated[
        float, Field(gt=0, le=10_000, description="time that a request may take; what answers within it is served")
    ] = 250.0
    gateway_feature_seconds: Annotated[
        float, Field(ge=0, description="how long a user's features are remembered before they are read again")
    ] = 5.0
    gateway_concurrency: Annotated[
        int, Field(ge=1, description="requests that are answered at a time; half as many wait, the rest get 429")
    ] = 8
    gateway_requests_per_second: Annotated[
        float,
        Field(ge=0, description="requests that one key or token may make in a second; 0: any number"),
    ] = 500.0
    gateway_auth: Annotated[
        Literal["none", "keys", "oidc"],
        Field(description="who may ask: anyone on this machine, holders of an API key, or of an OIDC token"),
    ] = "none"
    gateway_keys: Annotated[
        Path | None,
        Field(
            description="JSON file of API keys, read again when it changes: `{name: SHA-256 of the key}`, or "
            '`{name: {"sha256": …, "scopes": ["serve", "events", "operate"]}}`'
        ),
    ] = None
    gateway_oidc_issuer: Annotated[str, Field(description="`iss` that a token must have")] = ""
    gateway_oidc_audience: Annotated[str, Field(description="`aud` that a token must have")] = ""
    gateway_oidc_keys: Annotated[str, Field(description="URL or file of the issuer's keys (JWKS)")] = ""
    gateway_oidc_user_claim: Annotated[
        str, Field(description="claim that names the one user a token may ask for; empty: tokens are of services")
    ] = ""
    gateway_log_requests: Annotated[
        bool, Field(description="log a line for each request, whose address may hold a user id")
    ] = False
    gateway_log_days: Annotated[
        float,
        Field(
            ge=0,
            description="days after which the gateway removes files of its logs under `RELAND_HOME/serving`; an "
            "experiment needs those from its start on; 0: it keeps them",
        ),
    ] = 0.0
    ranked_requests_share: Annotated[
        float, Field(ge=0, le=1, description="share of the lists whose model inputs are logged, to be replayed offline")
    ] = 0.01

    @field_validator(
        "home",
        "data_dir",
        "forbidden_texts",
        "model_repository",
        "ledger",
        "triton_environment",
        "vllm_python",
        "kfp_token_file",
        "kfp_ca",
        "gateway_keys",
    )
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # Steps run in processes whose working folder is not the user's.
        try:
            return None if path is None else path.expanduser().absolute()
        except RuntimeError as error:  # an unknown ~user
            raise ValueError(str(error)) from error

    @field_validator("table_memory")
    @classmethod
    def _amount(cls, memory: str) -> str:
        if not re.fullmatch(r"(\d+(\.\d+)? ?[KMGT]i?B)?", memory):
            raise ValueError("expected an amount of memory, as 4GiB or 500MB")
        return memory

    @field_validator("vllm_arguments")
    @classmethod
    def _arguments(cls, arguments: str) -> str:
        try:
            is_object = isinstance(json.loads(arguments or "{}"), dict)
        except ValueError:
            is_object = False
        if not is_object:
            raise ValueError('expected a JSON object, as {"tensor_parallel_size": 4}')
        return arguments

    @property
    def vllm_engine_arguments(self) -> dict[str, Any]:
        """`vllm_arguments`, parsed."""
        return json.loads(self.vllm_arguments or "{}")

    @property
    def resolved_ledger(self) -> Path:
        """Folder of the ledger, by default under `home`."""
        return self.ledger or self.home / "ledger"

    @property
    def resolved_model_repository(self) -> Path:
        """Folder of the Triton model repository, by default under `home`."""
        return self.model_repository or self.home / "model_repository"


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        InputError: a variable has a value that its setting does not allow; the message names the variable.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ENVIRONMENT_PREFIX + str(first["loc"][0]).upper() if first["loc"] else ENVIRONMENT_PREFIX + "*"
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"setting {name}: {reason} (found {first.get('input')!r})") from error
