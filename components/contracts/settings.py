"""Every setting of the platform, in one typed object read from the environment (`RELAND_*`).

Settings say *where things are and how much is tolerated*; what a single run does is a pipeline parameter. In a pod they
come from the `reland-settings` config map, on a laptop from the shell.
"""

import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.contracts.errors import InputError

ENVIRONMENT_PREFIX = "RELAND_"
# Read by `feature_repo/feature_store.redis.yaml`; they may hold passwords, so on a cluster they come from a secret.
SECRET_VARIABLES = ("RELAND_REDIS", "RELAND_FEAST_REGISTRY")


class Settings(BaseSettings):
    """Typed, frozen settings; use `load_settings` to get one clear line for a bad value."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    home: Annotated[Path, Field(description="folder of everything that is kept locally")] = Path(".reland")
    data_dir: Annotated[
        Path | None, Field(description="folder of the data sets' files, where `--data-dir` is not given")
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
    triton_http_port: Annotated[
        int, Field(ge=0, le=65535, description="loopback port of a local Triton; 0: a free one")
    ] = 0
    triton_grpc_port: Annotated[
        int, Field(ge=0, le=65535, description="loopback port of a local Triton; 0: a free one")
    ] = 0
    triton_environment: Annotated[
        Path, Field(description="Python environment that holds tritonserver (made by `make install`)")
    ] = Path(sys.prefix).parent / ".venv-triton"

    triton_grpc: Annotated[
        str, Field(description="host:port of the Triton that the gateway asks; empty: `reland serve` starts one")
    ] = ""
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
        int, Field(ge=1, description="requests that are answered at a time; as many again wait, the rest get 429")
    ] = 16
    gateway_requests_per_second: Annotated[
        float, Field(ge=0, description="requests that one key may make; 0: any number")
    ] = 0.0
    gateway_auth: Annotated[
        Literal["none", "keys", "oidc"],
        Field(description="who may ask: anyone on this machine, holders of an API key, or of an OIDC token"),
    ] = "none"
    gateway_keys: Annotated[
        Path | None, Field(description="JSON file of API keys, `{name: SHA-256 of the key in hexadecimal}`")
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
    ranked_requests_share: Annotated[
        float, Field(ge=0, le=1, description="share of the lists whose model inputs are logged, to be replayed offline")
    ] = 0.01

    @field_validator("home", "data_dir", "model_repository", "triton_environment", "gateway_keys")
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

    @property
    def resolved_model_repository(self) -> Path:
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
        told = first["msg"].removeprefix("Value error, ")
        raise InputError(f"setting {name}: {told} (found {first.get('input')!r})") from error
