"""The last step of a run: its summary and its manifest."""

from kfp import dsl

from components.contracts.images import DATA


@dsl.component(base_image=DATA, install_kfp_package=False)
def summarize(
    generation: str,
    prepared: dsl.Input[dsl.Dataset],
    rationale_embeddings: dsl.Input[dsl.Dataset],
    data_report: dsl.Input[dsl.Artifact],
    encoder_report: dsl.Input[dsl.Artifact],
    seeds_report: dsl.Input[dsl.Artifact],
    language_model_report: dsl.Input[dsl.Artifact],
    prompt_report: dsl.Input[dsl.Artifact],
    generation_report: dsl.Input[dsl.Artifact],
    pool_report: dsl.Input[dsl.Artifact],
    matching_report: dsl.Input[dsl.Artifact],
    features_report: dsl.Input[dsl.Artifact],
    ranking_report: dsl.Input[dsl.Artifact],
    registry_report: dsl.Input[dsl.Artifact],
    release_report: dsl.Input[dsl.Artifact],
    summary: dsl.Output[dsl.Artifact],
) -> None:
    """Write `summary.json`, the union of the steps' reports, and the generation's `manifest.json`."""
    from pathlib import Path

    from components.contracts.artifacts import CONFIG_FILE, MANIFEST_FILE, SUMMARY_FILE, merge_reports
    from components.contracts.fingerprint import data_fingerprint
    from components.contracts.generation import manifest
    from components.foundation.files import read_json, write_json

    reports = [
        data_report,
        encoder_report,
        seeds_report,
        language_model_report,
        prompt_report,
        generation_report,
        pool_report,
        matching_report,
        features_report,
        ranking_report,
        registry_report,
        release_report,
    ]
    merged = merge_reports([Path(report.path) for report in reports])
    content = {"generation": generation, **merged}
    folder = Path(summary.path)
    write_json(folder / SUMMARY_FILE, content)
    write_json(
        folder / MANIFEST_FILE,
        manifest(
            content,
            data_fingerprint=data_fingerprint(Path(prepared.path)),
            text_encoder=read_json(Path(rationale_embeddings.path) / CONFIG_FILE)["text_encoder"],
        ),
    )
