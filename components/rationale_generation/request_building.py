"""From seed users to request lines, and which seed user asks which request."""

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from components.contracts.artifacts import REQUESTS_FILE, SEED_REQUESTS_FILE, SEEDS_FILE, WITHHELD_FILE
from components.contracts.batch_format import Request, read_lines, write_lines
from components.contracts.language_model import LanguageModel
from components.contracts.tables import SEEDS, read_table, write_table
from components.foundation.files import read_json, write_json
from components.foundation.progress import say
from components.prompting.catalogue import load_catalogue
from components.prompting.history import condense_histories
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_fitting_request
from components.prompting.token_counting import open_token_counter

# The only place where a seed user and a request meet: the requests, which leave the platform, name no user.
SEED_REQUESTS = pa.schema(
    [
        pa.field("seed_user_id", pa.string(), nullable=False),
        pa.field("custom_id", pa.string(), nullable=False),
        pa.field("prompt_version", pa.string(), nullable=False),
        pa.field("prompt_tokens", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class SeedRequests:
    """Requests in the order of their `custom_id`, and the `custom_id` of every seed user, by user id.

    Seed users with equal prompts share a request. `prompt_tokens` are the tokens of each request's prompt, as counted
    before it is sent, by `custom_id`. `withheld` are the texts of items that no prompt shows (`Catalogue.withheld`):
    later steps need not look for them again.
    """

    requests: list[Request]
    request_of_seed: dict[str, str]
    prompt_version: str
    prompt_tokens: dict[str, int] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()

    @property
    def seed_of_request(self) -> dict[str, str]:
        """The first seed user, by user id, of each `custom_id`."""
        return {custom_id: seed for seed, custom_id in reversed(self.request_of_seed.items())}


def build_seed_requests(
    prepared: Path,
    seeds: Path,
    prompt_version: str,
    model: LanguageModel,
    history_days: int = 0,
    items_name: str = "items",
) -> SeedRequests:
    """One request for each different prompt of the seed users.

    Args:
        history_days: as of `condense_histories`.
        items_name: as of `read_template`.

    Raises:
        InputError: the prompt version is not known, a table is missing, the model's tokenizer cannot be used, or its
            context is too small.
    """
    template = read_template(prompt_version, items_name)
    counter = open_token_counter(model)
    users = sorted(read_table(seeds / SEEDS_FILE, SEEDS, ["user_id"]).column("user_id").to_pylist())
    catalogue = load_catalogue(prepared).without_texts(counter.special_tokens)
    histories = condense_histories(prepared, users, catalogue, history_days)
    request_of_id: dict[str, Request] = {}
    request_of_seed: dict[str, str] = {}
    tokens_of_id: dict[str, int] = {}
    for user in users:
        request, tokens = build_fitting_request(histories[user], template, catalogue, model.name, counter)
        custom_id = request["custom_id"]
        request_of_id[custom_id] = request
        request_of_seed[user] = custom_id
        tokens_of_id[custom_id] = tokens
    say(
        f"{len(request_of_id)} prompts for {len(users)} seed users ({prompt_version}); {sum(tokens_of_id.values()):,} "
        f"tokens, at most {max(tokens_of_id.values(), default=0):,} in one ({counter.name})"
    )
    requests = [request_of_id[key] for key in sorted(request_of_id)]
    return SeedRequests(requests, request_of_seed, prompt_version, tokens_of_id, catalogue.withheld)


def write_seed_requests(content: SeedRequests, folder: Path) -> None:
    """Write the request lines and, beside them, the table of who asks what and the texts that are withheld."""
    rows = [
        {
            "seed_user_id": seed,
            "custom_id": custom_id,
            "prompt_version": content.prompt_version,
            "prompt_tokens": content.prompt_tokens[custom_id],
        }
        for seed, custom_id in content.request_of_seed.items()
    ]
    write_lines(folder / REQUESTS_FILE, content.requests)
    write_table(pa.Table.from_pylist(rows, schema=SEED_REQUESTS), folder / SEED_REQUESTS_FILE, SEED_REQUESTS)
    write_json(folder / WITHHELD_FILE, sorted(content.withheld))


def read_seed_requests(folder: Path) -> SeedRequests:
    """Read what `write_seed_requests` wrote."""
    table = read_table(folder / SEED_REQUESTS_FILE, SEED_REQUESTS).to_pydict()
    requests = [row for _, row in read_lines(folder / REQUESTS_FILE)]
    request_of_seed = dict(zip(table["seed_user_id"], table["custom_id"], strict=True))
    prompt_tokens = dict(zip(table["custom_id"], table["prompt_tokens"], strict=True))
    withheld = frozenset(read_json(folder / WITHHELD_FILE))
    return SeedRequests(requests, request_of_seed, table["prompt_version"][0], prompt_tokens, withheld)


def read_prompt_version(folder: Path) -> str:
    """The prompt version of what `write_seed_requests` wrote; no request is read."""
    table = read_table(folder / SEED_REQUESTS_FILE, SEED_REQUESTS, ["prompt_version"])
    return table["prompt_version"][0].as_py()
