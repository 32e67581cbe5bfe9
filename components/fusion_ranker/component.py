"""Pipeline steps: train the ranker variants, and compare them on the held-out items."""

from kfp import dsl

from components.contracts.images import RANKER


@dsl.component(base_image=RANKER, install_kfp_package=False)
def train_rankers(
    prepared: dsl.Input[dsl.Dataset],
    matches: dsl.Input[dsl.Dataset],
    rationale_embeddings: dsl.Input[dsl.Dataset],
    item_text_embeddings: dsl.Input[dsl.Dataset],
    section: dict,
    seed: int,
    rankers: dsl.Output[dsl.Model],
) -> None:
    """Train the variants of the ranker that are to be compared.

    Args:
        section: the section `ranking` of the run's configuration.
    """
    from pathlib import Path

    from components.fusion_ranker.configuration import RankingSection
    from components.fusion_ranker.variants import train_variants
    from components.recommenders.ranker_inputs import read_ranker_inputs

    inputs = read_ranker_inputs(
        Path(prepared.path), Path(matches.path), Path(rationale_embeddings.path), Path(item_text_embeddings.path)
    )
    train_variants(
        inputs,
        RankingSection.read(section),
        Path(rankers.path),
        seed,
    )


@dsl.component(base_image=RANKER, install_kfp_package=False)
def evaluate_rankers(
    rankers: dsl.Input[dsl.Model],
    prepared: dsl.Input[dsl.Dataset],
    matches: dsl.Input[dsl.Dataset],
    rationale_embeddings: dsl.Input[dsl.Dataset],
    item_text_embeddings: dsl.Input[dsl.Dataset],
    seed: int,
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Compare the variants on the test items, and write the figures and the report."""
    from pathlib import Path

    from components.contracts.artifacts import METRICS_FILE
    from components.foundation.files import write_json
    from components.fusion_ranker.comparison import evaluate_variants
    from components.recommenders.ranker_inputs import read_ranker_inputs

    inputs = read_ranker_inputs(
        Path(prepared.path), Path(matches.path), Path(rationale_embeddings.path), Path(item_text_embeddings.path)
    )
    measured = evaluate_variants(inputs, Path(rankers.path), seed)
    write_json(Path(evaluation.path) / METRICS_FILE, measured)
    for variant, values in measured["variants"].items():
        for name, value in values.items():
            metrics.log_metric(f"{variant} {name}", value)
    write_json(
        Path(report.path),
        {
            "ranking": {
                "backbone": measured["backbone"],
                "protocol": measured["protocol"],
                "seeds": measured["seeds"],
                **measured["variants"],
                "comparisons": measured["comparisons"],
            }
        },
    )
