import json

import pytest

from components.foundation.errors import InputError
from components.llm_tuning.examples import ExampleConfig, build_examples, right_answer, summary_sentence
from components.prompting.catalogue import load_catalogue
from components.prompting.history import condense
from components.prompting.prompt_template import read_template

NUMBERED = read_template("numbered-v1")


def films(catalogue, *names):
    return [catalogue.items[name] for name in names]


def test_the_right_answer_names_what_was_chosen_next_and_then_what_fits_it(catalogue):
    history = condense(films(catalogue, "alien"))  # Horror, Sci-Fi
    candidates = dict(enumerate(films(catalogue, "casablanca", "dune", "emma"), start=1))

    # Brazil (Sci-Fi) and Emma (Drama, Romance, Comedy) come next. Emma is candidate 3. Of the others Dune has the mean
    # count 1 over its one category, Casablanca 1 over its two: the lower number first.
    answer = right_answer(history, films(catalogue, "brazil", "emma"), catalogue, NUMBERED, candidates)

    assert answer == {
        "preference_summary": "The user mostly chooses these categories: Horror, Sci-Fi.",
        "categories": ["Sci-Fi", "Comedy", "Drama"],  # once each: the one of the history first, then by name
        "items": [3, 1, 2],
    }


def test_where_no_candidate_was_chosen_the_best_fitting_come_first(catalogue):
    candidates = dict(enumerate(films(catalogue, "casablanca", "dune", "emma", "alien"), start=1))
    following = films(catalogue, "brazil", "brazil", "unknown")

    answer = right_answer(condense([]), following, catalogue, NUMBERED, candidates)

    # Sci-Fi counts 2: Dune has the mean 2, Alien (Horror, Sci-Fi) 1, the dramas 0.
    assert answer is not None and answer["items"] == [2, 4] and answer["categories"] == ["Sci-Fi"]
    assert answer["preference_summary"] == "Nothing is known of the categories of the items the user chooses."


def test_as_titles_the_items_are_those_chosen_next_and_the_fields_stand_as_the_template_has_them(catalogue):
    template = read_template("direct-v1")
    answer = right_answer(condense([]), films(catalogue, "emma", "unknown", "emma"), catalogue, template, {})
    assert answer is not None and list(answer) == list(template.answer_fields)
    assert answer["items"] == ["Emma (1996)"]


def test_of_items_that_nothing_is_known_of_there_is_no_answer(catalogue):
    assert right_answer(condense([]), films(catalogue, "unknown"), catalogue, NUMBERED, {}) is None


def test_a_category_of_every_item_is_not_named(shop):
    catalogue = load_catalogue(shop)
    history = condense([catalogue.items["item-0-0"]])
    assert summary_sentence(history, catalogue) == "The user mostly chooses these categories: Tents."
    answer = right_answer(history, [catalogue.items["item-1-0"]], catalogue, NUMBERED, {})
    assert answer is not None and answer["categories"] == ["Lamps"]


def build(folder, **config):
    return build_examples(folder, load_catalogue(folder), NUMBERED, "m", ExampleConfig(**config))


def test_held_out_interactions_change_no_example(write_shop_with):
    first, second = (build(write_shop_with(held_out=item)) for item in ("item-0-0", "item-3-5"))
    assert first == second


def test_held_out_users_are_not_learned_from_and_their_target_is_their_last_training_visit(write_shop_with):
    folder = write_shop_with(users=60)
    examples = build(folder, cuts_per_user=3, held_out_users=500)
    assert len(examples.held_out) == 12  # a fifth
    assert len(examples.training) == 48 * 3

    catalogue = load_catalogue(folder)
    import pyarrow.compute as pc

    from components.contracts.tables import read_training_interactions

    rows = read_training_interactions(folder, ["user_id", "item_id", "timestamp"])
    visits = {}
    for user in pc.unique(rows["user_id"]).to_pylist():
        items = rows.filter(pc.equal(rows["user_id"], user)).sort_by("timestamp")["item_id"].to_pylist()
        visits[user] = [item for k, item in enumerate(items) if k == 0 or items[k - 1] != item]

    def prompt_of(items):
        from components.prompting.prompts import build_request

        return build_request(condense([catalogue.items[item] for item in items]), NUMBERED, catalogue, "m")

    last = {prompt_of(items[:-1])["custom_id"]: items[-1] for items in visits.values()}
    assert all(last[example.request["custom_id"]] == example.target.item_id for example in examples.held_out)
    held_out_users = {
        user
        for user, items in visits.items()
        if prompt_of(items[:-1])["custom_id"] in {example.request["custom_id"] for example in examples.held_out}
    }
    learned = {example.request["custom_id"] for example in examples.training}
    for user in visits.keys() - held_out_users:
        own = {prompt_of(visits[user][:cut])["custom_id"] for cut in range(2, len(visits[user]))}
        assert len(own & learned) >= 1


def test_the_seed_decides_which_examples_there_are(shop):
    assert build(shop, seed=1) == build(shop, seed=1) != build(shop, seed=2)
    assert len(build(shop, examples=50).training) == 50


def test_answers_are_compact_json_as_the_grammar_of_the_engine_writes_it(shop):
    for example in build(shop).training:
        assert example.answer == json.dumps(json.loads(example.answer), ensure_ascii=False, separators=(",", ":"))


def test_too_little_to_train_on_is_one_clear_line(write_shop_with):
    with pytest.raises(InputError, match=r"\d+ examples of a history and what was chosen next, expected 40 or more"):
        build(write_shop_with(users=4), cuts_per_user=2)
