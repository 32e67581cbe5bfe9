"""KFP components of the rationale generation: prompts, answers, validation."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def build_prompts(
    prepared: dsl.Input[dsl.Dataset],
    seeds: dsl.Input[dsl.Dataset],
    prompt_version: str,
    engine: str,
    recorded_rationales: str,
    requests: dsl.Output[dsl.Dataset],
) -> None:
    """Condense the seed users' histories and ask for rationales (3.1.2), in the OpenAI batch format.

    Args:
        recorded_rationales: file of recorded rationales; read by the engine `recorded` alone.
    """
    from pathlib import Path

    from components.contracts.settings import load_settings
    from components.rationale_generation.engines import engine_model
    from components.rationale_generation.request_building import build_seed_requests, write_seed_requests

    model = engine_model(engine, recorded_rationales, None)
    settings = load_settings()
    content = build_seed_requests(
        Path(prepared.path), Path(seeds.path), prompt_version, model, settings.history_days, settings.items_name
    )
    write_seed_requests(content, Path(requests.path))


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def generate_rationales(
    requests: dsl.Input[dsl.Dataset],
    prepared: dsl.Input[dsl.Dataset],
    engine: str,
    recorded_rationales: str,
    responses: dsl.Output[dsl.Dataset],
) -> None:
    """Have the engine answer every request.

    Args:
        recorded_rationales: file of recorded rationales; read by the engine `recorded` alone.
    """
    from pathlib import Path

    from components.contracts.artifacts import RESPONSES_FILE
    from components.contracts.batch_format import write_lines
    from components.contracts.progress import say
    from components.contracts.settings import load_settings
    from components.prompting.catalogue import load_catalogue
    from components.rationale_generation.engines import open_engine
    from components.rationale_generation.request_building import read_seed_requests

    asked = read_seed_requests(Path(requests.path))
    catalogue = load_catalogue(Path(prepared.path))
    with open_engine(engine, None, catalogue, recorded_rationales, asked.seed_of_request, load_settings()) as answering:
        say(f"asking {answering.name}, model {answering.model}, {len(asked.requests)} requests")
        count = write_lines(Path(responses.path) / RESPONSES_FILE, answering.generate(asked.requests))
    say(f"{count} responses")


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def validate_rationales(
    requests: dsl.Input[dsl.Dataset],
    responses: dsl.Input[dsl.Dataset],
    prepared: dsl.Input[dsl.Dataset],
    engine: str,
    rationales: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Keep the answers that hold against the catalogue; the others are kept apart with the reason."""
    from pathlib import Path

    from components.contracts.artifacts import RATIONALES_FILE, REJECTED_RATIONALES_FILE, RESPONSES_FILE
    from components.contracts.batch_format import read_lines
    from components.contracts.files import write_json
    from components.contracts.settings import load_settings
    from components.contracts.tables import RATIONALES, REJECTED_RATIONALES, write_table
    from components.prompting.catalogue import load_catalogue
    from components.rationale_generation.engines import engine_class
    from components.rationale_generation.rationale_table import validate_responses
    from components.rationale_generation.recorded_engine import RecordedEngine
    from components.rationale_generation.request_building import read_seed_requests
    from components.rationale_generation.validation import load_validator

    answering = engine_class(engine)
    catalogue = load_catalogue(Path(prepared.path))
    free_text = answering is RecordedEngine
    validator = load_validator(Path(prepared.path), catalogue, load_settings(), free_text=free_text)
    answers = [row for _, row in read_lines(Path(responses.path) / RESPONSES_FILE)]
    result = validate_responses(read_seed_requests(Path(requests.path)), answers, answering, validator)
    folder = Path(rationales.path)
    write_table(result.rationales, folder / RATIONALES_FILE, RATIONALES)
    write_table(result.rejected, folder / REJECTED_RATIONALES_FILE, REJECTED_RATIONALES)
    write_json(Path(report.path), result.report)
