"""The films and users of `tests.unit.films`."""

from tests.unit.films import catalogue, prepare, prepared, seeds  # noqa: F401
