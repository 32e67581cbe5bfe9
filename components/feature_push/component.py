"""Step: push a generation's features to Feast."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.FEATURES, install_kfp_package=False)
def push_features(
    matches: dsl.Input[dsl.Dataset],
    rationales: dsl.Input[dsl.Dataset],
    rationale_embeddings: dsl.Input[dsl.Dataset],
    prepared: dsl.Input[dsl.Dataset],
    generation: str,
    report: dsl.Output[dsl.Artifact],
) -> str:
    """Push to the slot that the champion does not use and prove it by look-up; returns the slot."""
    from dataclasses import replace
    from pathlib import Path

    from components.contracts import registry
    from components.contracts.exclusions import exclusions_file, read_exclusions
    from components.contracts.serving import check_slot_is_free
    from components.feature_push.push import load_features, load_histories, push_features_to
    from components.foundation import mlflow_client
    from components.foundation.files import write_json
    from components.foundation.progress import say
    from components.foundation.settings import load_settings
    from feature_repo.store import feature_store_folder, open_feature_store

    settings = load_settings()
    champion_slot = registry.champion_tag(mlflow_client.open_registry(settings), registry.TAG_SLOT)
    slot = registry.free_slot(champion_slot)
    check_slot_is_free(settings, slot)
    features = load_features(Path(matches.path), Path(rationales.path), Path(rationale_embeddings.path), generation)
    features = replace(features, histories=load_histories(Path(prepared.path)))
    users, count = len(features.assignments), len(features.rationales)
    say(f"pushing {count} rationales, and the assignments and histories of {users} users to the slot {slot}")
    exclusions = read_exclusions(exclusions_file(settings))
    push_features_to(open_feature_store(settings), feature_store_folder(settings), slot, features, exclusions)
    say("looked up again: the online store serves what was pushed")
    write_json(
        Path(report.path),
        {"features": {"pushed_users": users, "pushed_rationales": count, "slot": slot, "lookup_verified": True}},
    )
    return slot
