"""KFP components of the rationale generation: prompts, answers, validation."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def build_prompts(
    prepared: dsl.Input[dsl.Dataset],
    seeds: dsl.Input[dsl.Dataset],
    tuned: dsl.Input[dsl.Model],
    section: dict,
    requests: dsl.Output[dsl.Dataset],
) -> list[int]:
    """Condense the seed users' histories and ask for rationales (3.1.2), in the OpenAI batch format.

    Args:
        section: the section `rationales` of the run's configuration.

    Returns:
        the numbers of the shards that are to answer.
    """
    from pathlib import Path

    from components.contracts.language_model import read_language_model
    from components.foundation.settings import load_settings
    from components.language_model.configuration import RationalesSection
    from components.language_model.engine import EngineOptions
    from components.language_model.engines import engine_class
    from components.prompting.prompt_template import choose_version
    from components.rationale_generation.request_building import build_seed_requests, write_seed_requests

    configuration = RationalesSection.read(section)
    settings = load_settings()
    chosen = read_language_model(Path(tuned.path))
    recorded = configuration.recorded_rationales
    options = EngineOptions(settings=settings, model=chosen, recorded_rationales=recorded)
    model = engine_class(configuration.rationale_engine).answering_model(options)
    version = choose_version(configuration.prompt_version, configuration.language_model)
    content = build_seed_requests(
        Path(prepared.path), Path(seeds.path), version, model, settings.history_days, settings.items_name
    )
    write_seed_requests(content, Path(requests.path))
    return list(range(configuration.shards))


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def register_prompt(requests: dsl.Input[dsl.Dataset], report: dsl.Output[dsl.Artifact]) -> str:
    """Register the wording of the requests in MLflow's prompt registry; returns its URI there."""
    from pathlib import Path

    from components.foundation.files import write_json
    from components.foundation.progress import say
    from components.foundation.settings import load_settings
    from components.prompting.prompt_registry import register_template
    from components.prompting.prompt_template import read_template
    from components.rationale_generation.request_building import read_prompt_version

    settings = load_settings()
    template = read_template(read_prompt_version(Path(requests.path)), settings.items_name)
    prompt = register_template(settings, template)
    say(f"the wording is {prompt}")
    write_json(Path(report.path), {"prompt": {"version": template.version, "registered": prompt}})
    return prompt


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def generate_rationales(
    requests: dsl.Input[dsl.Dataset],
    prepared: dsl.Input[dsl.Dataset],
    tuned: dsl.Input[dsl.Model],
    section: dict,
    shard: int,
    responses: dsl.Output[dsl.Dataset],
) -> None:
    """Have the engine answer the requests of one shard; what was paid for before comes from the ledger.

    Args:
        section: the section `rationales` of the run's configuration.
        shard: number of the shard, from 0.
    """
    from pathlib import Path

    from components.contracts.artifacts import ACCOUNT_FILE, RESPONSES_FILE
    from components.contracts.batch_format import write_lines
    from components.contracts.language_model import read_language_model
    from components.foundation.progress import say
    from components.foundation.settings import load_settings
    from components.language_model.account import write_account
    from components.language_model.batch_exchange import BatchExchange, answer_once
    from components.language_model.budget import Budget, Prices
    from components.language_model.configuration import RationalesSection
    from components.language_model.engine import EngineOptions
    from components.language_model.engines import engine_class
    from components.language_model.ledger import Ledger, shard_of
    from components.prompting.catalogue import load_catalogue
    from components.rationale_generation.request_building import read_seed_requests
    from components.rationale_generation.validation import load_validator

    settings = load_settings()
    configuration = RationalesSection.read(section)
    shards = configuration.shards
    seed_requests = read_seed_requests(Path(requests.path))
    own = [request for request in seed_requests.requests if shard_of(request["custom_id"], shards) == shard]
    catalogue = load_catalogue(Path(prepared.path), seed_requests.withheld)
    model = read_language_model(Path(tuned.path))
    options = EngineOptions(settings=settings, model=model, recorded_rationales=configuration.recorded_rationales)
    with engine_class(configuration.rationale_engine).open(
        options, catalogue, seed_requests.seed_of_request
    ) as answering:
        say(f"asking {answering.name}, model {answering.model}, {len(own)} requests, shard {shard + 1} of {shards}")
        if answering.paid:
            validator = load_validator(Path(prepared.path), catalogue, settings, free_text=False)
            budget = Budget(configuration.ceilings.share(shard, shards), Prices.of(settings))
            with Ledger(settings.resolved_ledger, shard, shards) as ledger:
                exchange = BatchExchange(
                    answering, validator, ledger, budget, seed_requests.prompt_tokens, configuration.attempts
                )
                answers, account = exchange.answer(own)
        else:
            answers, account = answer_once(answering, own)
    write_lines(Path(responses.path) / RESPONSES_FILE, answers)
    write_account(Path(responses.path) / ACCOUNT_FILE, account)


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def validate_rationales(
    requests: dsl.Input[dsl.Dataset],
    responses: dsl.Input[list[dsl.Dataset]],
    prepared: dsl.Input[dsl.Dataset],
    section: dict,
    rationales: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Keep the answers that hold against the catalogue; the others are kept apart with the reason.

    Args:
        responses: those of all shards.
        section: the section `rationales` of the run's configuration.
    """
    from pathlib import Path

    from components.contracts.artifacts import ACCOUNT_FILE, RATIONALES_FILE, REJECTED_RATIONALES_FILE, RESPONSES_FILE
    from components.contracts.batch_format import read_lines
    from components.contracts.tables import RATIONALES, REJECTED_RATIONALES, write_table
    from components.foundation.files import write_json
    from components.foundation.settings import load_settings
    from components.language_model.account import Account, cost_fields, read_account, read_population
    from components.language_model.budget import Prices
    from components.language_model.configuration import RationalesSection
    from components.language_model.engines import engine_class
    from components.prompting.catalogue import load_catalogue
    from components.rationale_generation.rationale_table import validate_responses
    from components.rationale_generation.request_building import read_seed_requests
    from components.rationale_generation.validation import load_validator

    settings = load_settings()
    configured = RationalesSection.read(section)
    answering = engine_class(configured.rationale_engine)
    seed_requests = read_seed_requests(Path(requests.path))
    catalogue = load_catalogue(Path(prepared.path), seed_requests.withheld)
    validator = load_validator(Path(prepared.path), catalogue, settings, free_text=answering.free_text)
    folders = [Path(shard.path) for shard in responses]
    files = [folder / RESPONSES_FILE for folder in folders if (folder / RESPONSES_FILE).stat().st_size]
    answers = [row for file in files for _, row in read_lines(file)]
    result = validate_responses(seed_requests, answers, answering, validator, configured.rationale_text)
    folder = Path(rationales.path)
    write_table(result.rationales, folder / RATIONALES_FILE, RATIONALES)
    write_table(result.rejected, folder / REJECTED_RATIONALES_FILE, REJECTED_RATIONALES)

    account = sum((read_account(shard / ACCOUNT_FILE) for shard in folders), Account())
    cost = cost_fields(account, result.answered, Prices.of(settings), read_population(Path(prepared.path)))
    content = result.report | {"generation_cost": result.report["generation_cost"] | cost}
    write_json(Path(report.path), content)
