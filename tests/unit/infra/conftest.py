"""The overlays, built once."""

import copy
from collections.abc import Callable

import pytest

from infra.validation.manifests import Document, build, folders

_BUILT: dict[str, list[Document]] = {}


@pytest.fixture(scope="session")
def built() -> Callable[[str], list[Document]]:
    """`built(name)`: the objects of an overlay or a job, a copy that a test may change."""

    def get(name: str) -> list[Document]:
        if name not in _BUILT:
            _BUILT[name] = build(folders()[name])
        return copy.deepcopy(_BUILT[name])

    return get


def find(documents: list[Document], kind: str, name: str) -> Document:
    (found,) = [each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


@pytest.fixture(scope="session")
def found() -> Callable[[list[Document], str, str], Document]:
    return find
