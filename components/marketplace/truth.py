"""The truth of the simulated market: how likely a user clicks an item that is shown, and buys one that is clicked."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.artifacts import CONFIG_FILE, ITEMS_FILE
from components.contracts.tables import read_table, write_table
from components.foundation.errors import InputError
from components.foundation.files import read_json, write_json
from components.marketplace.catalogue import (
    BRANDS,
    CATEGORY_NAMES,
    item_ids,
    user_ids,
)
from components.marketplace.world import (
    Items,
    MarketConfig,
    Users,
    Weights,
    make_items,
    make_users,
)

USERS_FILE = "users.parquet"
FORMAT = 1  # of the artifact; a change of the equation or of the tables is a new number


@dataclass(frozen=True)
class Truth:
    """A market whose probabilities are known.

    Of an item i that user u is shown on day d, with c, b, x, q its category, brand, price position and popularity,

        f(u, i, d) = (1, t_u(d)[c], s_u[b], -(x - y_u)^2, q, [c = C_u(d)], [b = B_u(d)])
        P(click    | shown, u, i, d) = sigmoid(w_click . f(u, i, d))
        P(purchase | click, u, i, d) = sigmoid(w_conversion . f(u, i, d))

    where t_u(d) = cos(drift d) t_u + sin(drift d) t'_u is the taste over categories, which drifts, s_u the taste over
    brands, y_u the price liked most, and (C_u(d), B_u(d)) the context of the user's sessions on day d: the category and
    the brand that the user is after, drawn from the tastes anew every `intent_days` days. The weights w are
    `config.click` and `config.conversion`. An item lower in a list may be overlooked: slot k = 0, 1, ... is looked at
    with probability (k + 1)^-b, b = `config.position_bias` (0, the default, is no bias), which multiplies P(click).

    Users and items are given by their index; `user_index` and `item_index` find it. A probability is defined for every
    pair, also before the user signs up or the item is launched.
    """

    config: MarketConfig
    seed: int
    users: Users
    items: Items

    def click_probability(self, users: np.ndarray, items: np.ndarray, day: int) -> np.ndarray:
        """P(click | shown, user, item, day), float32 of the shape to which `users` and `items` (int) broadcast.

        Raises:
            ValueError: the truth does not cover `day`.
        """
        return self._probability(self.config.click, users, items, day)

    def conversion_probability(self, users: np.ndarray, items: np.ndarray, day: int) -> np.ndarray:
        """P(purchase | click, user, item, day); arguments and result as of `click_probability`."""
        return self._probability(self.config.conversion, users, items, day)

    def examination_probability(self, slots: int) -> np.ndarray:
        """P(looked at | slot), float32[slots]."""
        return np.arange(1, slots + 1, dtype=np.float32) ** np.float32(-self.config.position_bias)

    def intent(self, users: np.ndarray, day: int) -> tuple[np.ndarray, np.ndarray]:
        """Category and brand that each of `users` is after on `day`, int8 of the shape of `users`."""
        self._check_day(day)
        spell = (day + self.users.intent_phase[users]) // self.config.intent_days
        return self.users.intent_category[users, spell], self.users.intent_brand[users, spell]

    def users_on(self, day: int) -> int:
        """How many users have signed up by `day`: those of index 0 to this - 1."""
        self._check_day(day)
        return int(np.searchsorted(self.users.signup_day, day, side="right"))

    def items_on(self, day: int) -> int:
        """How many items are on sale on `day`: those of index 0 to this - 1."""
        self._check_day(day)
        return int(np.searchsorted(self.items.launch_day, day, side="right"))

    def user_ids(self) -> pa.Array:
        """Ids of all users in the order of their index, string[U]."""
        return pa.array(user_ids(0, len(self.users.level)), pa.string())

    def item_ids(self) -> pa.Array:
        """Ids of all items in the order of their index, string[I]."""
        return pa.array(item_ids(0, len(self.items.category)), pa.string())

    def user_index(self, ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """int64, index of each user id.

        Raises:
            ValueError: an id is not of this market.
        """
        return _index(ids, self.user_ids(), "user")

    def item_index(self, ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """int64, index of each item id; raises as `user_index` does."""
        return _index(ids, self.item_ids(), "item")

    def _probability(self, weights: Weights, users: np.ndarray, items: np.ndarray, day: int) -> np.ndarray:
        user, item = self.users, self.items
        category, brand = item.category[items], item.brand[items]
        intent_category, intent_brand = self.intent(users, day)
        angle = self.config.drift * day
        # Weights are folded into the sines and into float32 scalars: few passes over the pairs.
        logit = np.float32(weights.category * np.cos(angle)) * user.category_taste[users, category]
        logit += np.float32(weights.category * np.sin(angle)) * user.category_drift[users, category]
        logit += np.float32(weights.brand) * user.brand_taste[users, brand]
        logit -= np.float32(weights.price) * np.square(item.price_position[items] - user.price_taste[users])
        logit += (np.float32(weights.popularity) * item.popularity + np.float32(weights.intercept))[items]
        logit += np.float32(weights.intent_category) * (category == intent_category)
        logit += np.float32(weights.intent_brand) * (brand == intent_brand)
        return 1 / (1 + np.exp(-logit))

    def _check_day(self, day: int) -> None:
        if not 0 <= day < self.config.horizon:
            raise ValueError(f"day {day}: the truth covers the days 0 to {self.config.horizon - 1}")


def make_truth(config: MarketConfig, seed: int) -> Truth:
    """The market of `config` and `seed`; equal ones give equal truths."""
    return Truth(config, seed, make_users(config, seed), make_items(config, seed))


def users_schema(spells: int) -> pa.Schema:
    """Schema of the truth's users, in the order of their index; the columns are those of `world.Users`."""
    return pa.schema(
        [
            _required("user_id", pa.string()),
            _required("signup_day", pa.int32()),
            _required("sessions_per_day", pa.float32()),
            _required("level", pa.int8()),
            _required("price_taste", pa.float32()),
            _required("category_taste", pa.list_(pa.float32(), len(CATEGORY_NAMES))),
            _required("category_drift", pa.list_(pa.float32(), len(CATEGORY_NAMES))),
            _required("brand_taste", pa.list_(pa.float32(), len(BRANDS))),
            _required("intent_phase", pa.int32()),
            _required("intent_category", pa.list_(pa.int8(), spells)),
            _required("intent_brand", pa.list_(pa.int8(), spells)),
        ]
    )


def items_schema() -> pa.Schema:
    """Schema of the truth's items, in the order of their index; the columns are those of `world.Items`."""
    return pa.schema(
        [
            _required("item_id", pa.string()),
            _required("launch_day", pa.int32()),
            _required("category", pa.int8()),
            _required("kind", pa.int8()),
            _required("brand", pa.int8()),
            _required("style", pa.int8()),
            _required("price_position", pa.float32()),
            _required("price", pa.float64()),
            _required("popularity", pa.float32()),
        ]
    )


def save_truth(truth: Truth, folder: Path) -> None:
    """Write the truth as an artifact: `users.parquet`, `items.parquet` and, last, `config.json`."""
    spells = truth.users.intent_category.shape[1]
    write_table(_table(truth.user_ids(), truth.users, users_schema(spells)), folder / USERS_FILE, users_schema(spells))
    write_table(_table(truth.item_ids(), truth.items, items_schema()), folder / ITEMS_FILE, items_schema())
    content = {"format": FORMAT, "seed": truth.seed, "spells": spells, "market": asdict(truth.config)}
    write_json(folder / CONFIG_FILE, content)


def load_truth(folder: Path) -> Truth:
    """Read what `save_truth` wrote.

    Raises:
        InputError: a file is missing, unreadable or not of this format.
    """
    path = folder / CONFIG_FILE
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: not the truth of a simulated market in format {FORMAT}")
    try:
        market = dict(content["market"])
        click, conversion = Weights(**market.pop("click")), Weights(**market.pop("conversion"))
        config = MarketConfig(**market, click=click, conversion=conversion)
        seed, spells = int(content["seed"]), int(content["spells"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not the configuration of a simulated market ({error})") from error
    users = read_table(folder / USERS_FILE, users_schema(spells))
    items = read_table(folder / ITEMS_FILE, items_schema())
    return Truth(config, seed, Users(**_arrays(users, Users)), Items(**_arrays(items, Items)))


def _table(ids: pa.Array, rows: Users | Items, schema: pa.Schema) -> pa.Table:
    columns = [ids]
    for field in fields(rows):
        array = getattr(rows, field.name)
        column = pa.array(array.ravel())
        columns.append(column if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(column, array.shape[1]))
    return pa.table(columns, schema=schema)


def _arrays(table: pa.Table, kind: type[Users] | type[Items]) -> dict[str, np.ndarray]:
    arrays = {}
    for field in fields(kind):
        column = table[field.name].combine_chunks()
        if pa.types.is_fixed_size_list(column.type):
            arrays[field.name] = column.flatten().to_numpy().reshape(len(column), column.type.list_size)
        else:
            arrays[field.name] = column.to_numpy()
    return arrays


def _index(ids: pa.Array | pa.ChunkedArray, ids_of_market: pa.Array, kind: str) -> np.ndarray:
    positions = pc.index_in(ids, ids_of_market)
    if positions.null_count:
        unknown = ids.filter(pc.is_null(positions))[0].as_py()
        raise ValueError(f"{kind} {unknown!r} is not of this market")
    return positions.to_numpy().astype(np.int64)


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)
