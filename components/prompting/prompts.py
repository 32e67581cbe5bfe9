"""Steps 1 and 2 of the prompt (RELAND 3.1.2), sent to a chat model in one request with a JSON answer."""

import json

from components.contracts.batch_format import Request, make_request
from components.foundation.errors import InputError
from components.prompting.candidates import choose_candidates
from components.prompting.catalogue import Catalogue
from components.prompting.document import build_document
from components.prompting.history import CondensedHistory
from components.prompting.prompt_template import PromptTemplate
from components.prompting.token_counting import TokenCounter


def build_request(history: CondensedHistory, template: PromptTemplate, catalogue: Catalogue, model: str) -> Request:
    """The request for one user: the instruction that all users share, then the document about this one.

    Temperature 0 makes the answer a function of the prompt, so that an answer can be reused for an equal prompt.
    """
    candidates = choose_candidates(history, catalogue, template.candidates) if template.answer == "numbers" else []
    document = json.dumps(build_document(history, template, candidates), ensure_ascii=False)
    schema = {"name": "rationale", "strict": True, "schema": template.answer_schema()}
    body = {
        "model": model,
        "messages": [{"role": "system", "content": template.system}, {"role": "user", "content": document}],
        "temperature": 0,
        "max_tokens": template.answer_tokens,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    return make_request(body)


def build_fitting_request(
    history: CondensedHistory, template: PromptTemplate, catalogue: Catalogue, model: str, counter: TokenCounter
) -> tuple[Request, int]:
    """The request with as many items of the history as leave room for the answer in the model's context.

    Returns:
        The request, and the tokens of its prompt as `counter` counts them.

    Raises:
        InputError: the context is too small for the template with a single item.
    """
    most = min(template.history_items, len(history.items))
    request = build_request(history, template, catalogue, model)
    tokens = counter.count(request["body"]["messages"])
    if not counter.context or tokens + template.answer_tokens <= counter.context:
        return request, tokens

    fitting: tuple[Request, int] | None = None
    fewest, most = min(1, most), most - 1
    while fewest <= most:
        middle = (fewest + most) // 2
        request = build_request(history.shortened(middle), template, catalogue, model)
        shorter = counter.count(request["body"]["messages"])
        if shorter + template.answer_tokens <= counter.context:
            fitting = request, shorter
            fewest = middle + 1
        else:
            tokens = shorter
            most = middle - 1
    if fitting is None:
        raise InputError(
            f"prompt version {template.version}: its shortest prompt has {tokens} tokens ({counter.name}) and its "
            f"answer up to {template.answer_tokens}, more than the context of {model}, {counter.context} tokens"
        )
    return fitting
