"""Without a model, a user with a history gets what others visited after its items: a real Feast and gateway."""

import asyncio
import shutil

import pyarrow as pa

from components.contracts.ranking_signature import MODEL_NAME
from components.contracts.serving import (
    SIMILAR_ITEMS,
    SIMILAR_ITEMS_FILE,
    RolloutRecord,
    rollout_file,
    write_rollout,
)
from components.contracts.tables import write_table
from components.feature_push.push import GenerationFeatures, push_features_to
from feature_repo.store import History, feature_store_folder, open_feature_store

NEIGHBOURS = {"item 03": ["item 07", "item 05"], "item 05": ["item 09", "item 03"]}


def test_similar_items_answer_before_popular_ones(stack, asking, make_arm, tmp_path):
    repository = tmp_path / "models"
    shutil.copytree(stack.settings.resolved_model_repository, repository)
    settings = stack.settings.model_copy(update={"home": tmp_path / "home", "model_repository": repository})
    served = repository / MODEL_NAME / "1"
    item_ids = [f"item {number:02}" for number in range(1, 31)]
    rows = [NEIGHBOURS.get(item, []) for item in item_ids]
    values = [[0.5, 0.25][: len(row)] for row in rows]
    table = pa.table([item_ids, rows, values], schema=SIMILAR_ITEMS)
    write_table(table, served / SIMILAR_ITEMS_FILE, SIMILAR_ITEMS)
    histories = {"known": History(["item 05", "item 03"]), "elsewhere": History(["item 20"])}
    push_features_to(
        open_feature_store(settings), feature_store_folder(settings), "blue", GenerationFeatures({}, {}, histories)
    )
    write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="salt", arms=(make_arm(),)))

    async def scene() -> None:
        async with asking(settings, triton_grpc="127.0.0.1:9", gateway_budget_ms=10_000) as client:

            async def post(path: str, **body):
                return (await client.post(f"/v1/{path}", json=body)).json()

            ranked = await post("rank", user_id="known", candidates=["item 30", "item 09", "item 07", "item 01"])
            assert (ranked["ladder_step"], ranked["model"]) == ("similar", "similar")
            # 07 follows the last item: 0.5; 09 the one before it: 0.7 of 0.5. The others by their visits, 30 the most.
            assert [item["item_id"] for item in ranked["items"]] == ["item 07", "item 09", "item 30", "item 01"]
            found = await post("recommend", user_id="known", count=4)
            assert (found["ladder_step"], found["candidates_from"]) == ("similar", "similar")
            # Neither of the history; after what is similar the most popular.
            assert [item["item_id"] for item in found["items"]] == ["item 07", "item 09", "item 30", "item 29"]
            # After item 20 nobody was seen, and of the last user nothing is known.
            for user in ("elsewhere", "nobody"):
                assert (await post("recommend", user_id=user, count=4))["ladder_step"] == "popular"

    asyncio.run(scene())
