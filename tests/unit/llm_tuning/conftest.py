"""The films of `tests.unit.films` and the shop of `tests.unit.shop`."""

from tests.unit.films import catalogue, prepare, prepared  # noqa: F401
from tests.unit.shop import shop, write_shop_with  # noqa: F401
