"""Steps 1 and 2 of the prompt (RELAND 3.1.2), asked of a chat model in one request with a JSON answer."""

import json

from components.contracts.batch_format import Request, make_request
from components.prompting.candidates import choose_candidates
from components.prompting.catalogue import Catalogue
from components.prompting.document import build_document
from components.prompting.history import CondensedHistory
from components.prompting.prompt_template import PromptTemplate


def build_request(history: CondensedHistory, template: PromptTemplate, catalogue: Catalogue, model: str) -> Request:
    """The request for one user: the instruction that all users share, then the document about this one.

    Temperature 0: an answer is as good as any other to an equal prompt, so that answers can be reused by content.
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
