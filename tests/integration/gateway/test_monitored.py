"""What alerts and dashboard are made of: the gateway's numbers are those of what it answered."""

from datetime import UTC, datetime

import pytest


def test_lists_with_a_rationale_cold_starts_and_the_generation_are_told(gateway):
    def values() -> dict[str, float]:
        names = ("rationale_similarity_count", "rationale_similarity_sum", "cold_starts_total")
        return {name: gateway.metric(name, arm="champion") for name in names}

    before = values()
    for user in ("known", "known", "bare", "nobody"):  # "bare" has no rationale, of "nobody" nothing is known
        answer = gateway.post("/v1/rank", {"user_id": user, "candidates": ["item 03", "item 01"]})
        assert answer.status_code == 200
    gained = {name: value - before[name] for name, value in values().items()}
    assert gained == {
        "rationale_similarity_count": 2,
        "rationale_similarity_sum": pytest.approx(2 * 0.75),
        "cold_starts_total": 1,
    }
    begun = datetime(2026, 1, 1, tzinfo=UTC)  # generation 20260101t000000000
    assert gateway.metric("generation_begun_seconds", arm="champion") == begun.timestamp()
