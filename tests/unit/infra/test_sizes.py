"""The table of sizes on the page is that of the arithmetic, and the overlays are of the size that they name."""

import pytest

from infra import sizes
from infra.validation.manifests import KUSTOMIZE

ONE, TEN, HUNDRED = sizes.SIZES


def test_the_page_has_the_table():
    assert sizes.table() in (KUSTOMIZE.parent / "README.md").read_text()


def test_worked_by_hand():
    assert ONE.lists_a_second == pytest.approx(104.17, abs=0.01)  # 3 million lists, by 86,400, times 3
    assert (ONE.seeds, TEN.seeds, HUNDRED.seeds) == (100_000, 100_000, 75_000)
    assert sizes.embeddings_gib(HUNDRED) == pytest.approx(25.6e9 / 2**30)  # 256 bytes each
    assert sizes.gpu_hours(HUNDRED) == pytest.approx(75e6 / 9e6)  # tokens, by those of a GPU's hour
    assert sizes.gpu_hours(ONE, 0.1) == pytest.approx(100e6 / 9e6)
    assert sizes.redis_gib(ONE) == pytest.approx((2.256e9 + 265.6e6) * 5 / 3 / 2**30)
    # 300,000 vectors of 384 bytes, 100,000 texts of 2,000, twice
    assert sizes.milvus_gib(ONE) == pytest.approx((300_000 * 384 + 100_000 * 2_000) * 2 / 2**30)


def memory(quantity: str) -> float:
    """GiB."""
    return float(quantity.removesuffix("Gi"))


def test_the_cluster_with_gpus_holds_a_million_users(built, found):
    documents = built("gpu-cluster")
    (redis,) = found(documents, "StatefulSet", "redis")["spec"]["template"]["spec"]["containers"]
    assert memory(redis["resources"]["limits"]["memory"]) >= sizes.redis_gib(ONE)
    scaled = found(documents, "ScaledObject", "gateway")["spec"]
    assert scaled["minReplicaCount"] >= sizes.gateways(ONE) and scaled["maxReplicaCount"] >= 2 * sizes.gateways(ONE)


def test_production_holds_ten_million_users(built, found):
    documents = built("production")
    for name, needed in (("gateway", sizes.gateways(TEN)), ("triton", sizes.tritons(TEN))):
        assert found(documents, "ScaledObject", name)["spec"]["maxReplicaCount"] >= 1.5 * needed, name
    node = found(documents, "Milvus", "reland")["spec"]["components"]["queryNode"]
    assert node["replicas"] * memory(node["resources"]["requests"]["memory"]) >= sizes.milvus_gib(TEN)
    home = found(documents, "PersistentVolumeClaim", "reland-home")["spec"]["resources"]["requests"]["storage"]
    assert memory(home) >= sizes.exposures_gib(TEN)
