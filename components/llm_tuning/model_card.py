"""The model card of a language model that was trained here."""

from typing import Any

_ROWS = {
    "valid": "valid answers, without a grammar",
    "category_hit@1": "the first category named is one of the next item's",
    "category_hit@3": "one of three categories named is one of the next item's",
    "item_hit@5": "one of five items named is the next item",
    "reachable": "the next item could be named",
    "loss": "loss, nats a token of the answers",
}
_COLUMNS = ("before", "after", "popularity", "majority")


def model_card(name: str, tuning: dict[str, Any], metrics: dict[str, Any]) -> str:
    """Markdown: what the model is, what it was trained on, and how good it is beside two baselines."""
    if tuning["base"]:
        what = (
            f"A LoRA adapter on `{tuning['base']}`, tuned on one recommender's logs. What holds of the base model "
            "(licence, languages, limits) holds of it."
        )
    else:
        what = (
            f"A small in-domain model of {tuning['parameters']:,} parameters, trained from nothing on one "
            "recommender's logs, with a tokenizer of its own. It is not a general language model: it has read no other "
            "text, and answers one form of prompt."
        )
    lines = [
        f"# {name}",
        "",
        what,
        "",
        f"- Prompt version: `{tuning['prompt_version']}`",
        f"- Data fingerprint: `{tuning['data_fingerprint']}`; training interactions alone",
        f"- {tuning['examples']} examples of a history and what was chosen next, {tuning['steps']} optimizer steps",
        "- The sentence `preference_summary` is learned from sentences made by rule from the most frequent categories "
        "of a history: it condenses, it does not reason.",
        "",
        f"On {metrics['users']} users who were held out, the last training visit being the next item. `popularity` "
        "names the categories and items chosen most, `majority` the user's own most frequent categories.",
        "",
        f"| | {' | '.join(_COLUMNS)} |",
        "|---" * (1 + len(_COLUMNS)) + "|",
    ]
    for key, title in _ROWS.items():
        cells = [f"{metrics[column][key]:.3f}" if key in metrics[column] else "" for column in _COLUMNS]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
