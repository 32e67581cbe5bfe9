"""From seed users to request lines, and which seed user asks which request."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from components.contracts.artifacts import REQUESTS_FILE, SEED_REQUESTS_FILE, SEEDS_FILE
from components.contracts.batch_format import Request, read_lines, write_lines
from components.contracts.progress import say
from components.contracts.tables import SEEDS, read_table, write_table
from components.prompting.catalogue import load_catalogue
from components.prompting.history import condense_histories
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request

# The only place where a seed user and a request meet: the requests, which leave the house, name no user.
SEED_REQUESTS = pa.schema(
    [
        pa.field("seed_user_id", pa.string(), nullable=False),
        pa.field("custom_id", pa.string(), nullable=False),
        pa.field("prompt_version", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class SeedRequests:
    """Requests in the order of their `custom_id`, and the `custom_id` of every seed user, by user id.

    Seed users with equal prompts share a request.
    """

    requests: list[Request]
    request_of_seed: dict[str, str]
    prompt_version: str

    @property
    def seed_of_request(self) -> dict[str, str]:
        """The first seed user, by user id, of each `custom_id`."""
        return {custom_id: seed for seed, custom_id in reversed(self.request_of_seed.items())}


def build_seed_requests(prepared: Path, seeds: Path, prompt_version: str, model: str) -> SeedRequests:
    """One request for each different prompt of the seed users.

    Raises:
        InputError: the prompt version is not known, or a table is missing.
    """
    template = read_template(prompt_version)
    users = sorted(read_table(seeds / SEEDS_FILE, SEEDS, ["user_id"]).column("user_id").to_pylist())
    catalogue = load_catalogue(prepared)
    histories = condense_histories(prepared, users, catalogue)
    request_of_id: dict[str, Request] = {}
    request_of_seed: dict[str, str] = {}
    for user in users:
        request = build_request(histories[user], template, catalogue, model)
        request_of_id[request["custom_id"]] = request
        request_of_seed[user] = request["custom_id"]
    say(f"{len(request_of_id)} prompts for {len(users)} seed users ({prompt_version})")
    return SeedRequests([request_of_id[key] for key in sorted(request_of_id)], request_of_seed, prompt_version)


def write_seed_requests(content: SeedRequests, folder: Path) -> None:
    """Write the request lines and, beside them, the table of who asks what."""
    seeds, custom_ids = list(content.request_of_seed), list(content.request_of_seed.values())
    columns = [pa.array(column, pa.string()) for column in (seeds, custom_ids, [content.prompt_version] * len(seeds))]
    write_lines(folder / REQUESTS_FILE, content.requests)
    write_table(pa.table(columns, schema=SEED_REQUESTS), folder / SEED_REQUESTS_FILE, SEED_REQUESTS)


def read_seed_requests(folder: Path) -> SeedRequests:
    """Read what `write_seed_requests` wrote."""
    table = read_table(folder / SEED_REQUESTS_FILE, SEED_REQUESTS).to_pydict()
    requests = [row for _, row in read_lines(folder / REQUESTS_FILE)]
    request_of_seed = dict(zip(table["seed_user_id"], table["custom_id"], strict=True))
    return SeedRequests(requests, request_of_seed, table["prompt_version"][0])
