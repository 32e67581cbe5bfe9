"""The batch exchange: which requests are sent, which are not, and what the account says it took."""

import json
from collections import Counter, defaultdict

import pytest
from pydantic import SecretStr

from components.contracts.batch_format import (
    NoAnswerError,
    make_failure,
    make_request,
    make_response,
    read_answer,
)
from components.foundation.errors import InputError
from components.language_model.batch_exchange import BatchExchange, answer_once, ask_again
from components.language_model.budget import Budget, Ceilings, Prices
from components.language_model.engine import RationaleEngine
from components.language_model.ledger import Ledger
from components.language_model.openai_engine import Endpoint, OpenAIEngine
from components.rationale_generation.text_rules import InvalidAnswerError, Reason
from tests.contract.chat_endpoint import FAULTS, answer, chat_endpoint


class Oracle(RationaleEngine):
    """Stands in for a language model: gives the answers of a table, and counts the requests it gets.

    Args:
        answers: the answer to a request by (user message, seed); "valid" where there is none. None is an error, an
            empty text an answer without one.
        fails_after: ends with a fault after this many answers.
    """

    name = "oracle"
    infers = True
    model = "m"

    def __init__(self, answers=None, fails_after=None, reads_all_first=False):
        self.asked = Counter()
        self.passes = 0
        self._answers = answers or {}
        self._fails_after = fails_after
        self._reads_all_first = reads_all_first

    @classmethod
    def open(cls, options, catalogue, seed_of_request):
        raise NotImplementedError("made by its constructor")

    def generate(self, requests):
        self.passes += 1
        for request in list(requests) if self._reads_all_first else requests:
            if self._fails_after is not None and sum(self.asked.values()) >= self._fails_after:
                raise InputError("the endpoint is gone")
            body = request["body"]
            self.asked[request["custom_id"]] += 1
            content = self._answers.get((body["messages"][0]["content"], body.get("seed", 0)), "valid")
            if content is None:
                yield make_failure(request["custom_id"], "x", "no answer")
            else:
                yield make_response(request["custom_id"], "m", content, 40, 10)


def requests(count):
    return [
        make_request({"model": "m", "messages": [{"role": "user", "content": f"user {n}"}], "max_tokens": 100})
        for n in range(count)
    ]


class Validator:
    """Stands in for the validation: an answer is valid that says so, and to a request that is not `refused`."""

    def __init__(self, refused=None):
        self._refused = refused

    def validate(self, content, request):
        if content != "valid" or request == self._refused:
            raise InvalidAnswerError(Reason.NOT_JSON, content)


NO_CEILING, NO_PRICE = Ceilings(), Prices()
PROMPT_TOKENS = defaultdict(lambda: 34)


def run(folder, engine, asked, attempts=2, ceilings=NO_CEILING, prices=NO_PRICE):
    with Ledger(folder) as ledger:
        return BatchExchange(engine, Validator(), ledger, Budget(ceilings, prices), PROMPT_TOKENS, attempts).answer(
            asked
        )


def contents(responses):
    return [read_answer(response).content if response["error"] is None else None for response in responses]


def test_each_request_is_answered_once_in_its_order_and_never_asked_again(tmp_path):
    asked = requests(5)
    first = Oracle()
    responses, account = run(tmp_path, first, asked)
    assert [row["custom_id"] for row in responses] == [row["custom_id"] for row in asked]
    assert (account.inferences, account.new, account.spent.calls, account.spent.tokens) == (5, 5, 5, 250)
    second = Oracle()
    again, account = run(tmp_path, second, asked)
    assert again == responses and not second.asked and second.passes == 0
    assert (account.inferences, account.new, account.spent.calls, account.behind.calls) == (0, 0, 0, 5)


def test_an_invalid_answer_is_asked_for_with_another_seed_until_one_is_valid(tmp_path):
    asked = requests(3)
    answers = {("user 1", 0): "bad", ("user 2", 0): "bad", ("user 2", 1): "worse", ("user 2", 2): "worst"}
    responses, account = run(tmp_path, Oracle(answers), asked)
    assert contents(responses) == ["valid", "valid", "worst"]
    assert [row["custom_id"] for row in responses] == [row["custom_id"] for row in asked]
    assert (account.inferences, account.asked_again, account.new) == (6, 3, 3)
    # The rejected answers are in the ledger too: a run after this one asks nothing.
    second = Oracle()
    again, account = run(tmp_path, second, asked)
    assert again == responses and not second.asked
    assert account.behind.calls == 6
    # A catalogue or a rule that changed may reject what was valid: then another answer is asked for, and only that.
    third = Oracle()
    with Ledger(tmp_path) as ledger:
        BatchExchange(
            third, Validator(refused=asked[0]), ledger, Budget(NO_CEILING, NO_PRICE), PROMPT_TOKENS, 1
        ).answer(asked[:1])
    assert dict(third.asked) == {ask_again(asked[0], 1)["custom_id"]: 1}


def test_the_request_of_another_attempt(tmp_path):
    (asked,) = requests(1)
    again = ask_again(asked, 2)
    assert again["body"] == {**asked["body"], "seed": 2, "temperature": 0.7}
    assert again["custom_id"] != asked["custom_id"] == requests(1)[0]["custom_id"]


def test_an_error_is_not_kept_and_an_invalid_answer_says_more_than_an_error_after_it(tmp_path):
    asked = requests(2)
    answers = {("user 0", 0): None, ("user 1", 0): "bad", ("user 1", 1): None}
    responses, account = run(tmp_path, Oracle(answers), asked, attempts=1)
    assert contents(responses) == [None, "bad"]
    assert (account.spent.calls, account.inferences, account.new) == (3, 1, 1)
    second = Oracle()
    responses, _ = run(tmp_path, second, asked, attempts=1)
    assert contents(responses) == ["valid", "valid"] and sum(second.asked.values()) == 2


def test_an_answer_without_a_text_is_paid_for_once_and_kept(tmp_path):
    """A refusal is an answer: another seed would be answered so too, and so would the request next week."""
    requested = requests(3)
    answers = {("user 1", 0): "", ("user 2", 0): "bad", ("user 2", 1): ""}
    responses, account = run(tmp_path, Oracle(answers), requested)
    with pytest.raises(NoAnswerError) as error:
        read_answer(responses[1])
    assert error.value.reason == "empty"
    assert read_answer(responses[2]).content == "bad"  # an invalid answer says more than an empty one after it
    # One call each for the first two, two for the third: 4 × (40 + 10) tokens.
    assert (account.spent.calls, account.spent.tokens, account.inferences, account.new) == (4, 200, 4, 3)
    second = Oracle(answers)
    again, account = run(tmp_path, second, requested)
    assert again == responses and not second.asked
    assert (account.spent.calls, account.behind.calls, account.behind.tokens) == (0, 4, 200)


def test_a_run_of_answers_without_a_text_is_no_fault_of_the_engine(tmp_path, capsys):
    responses, account = run(tmp_path, Oracle({(f"user {n}", 0): "" for n in range(9)}), requests(9))
    assert len(responses) == 9 and (account.spent.calls, account.asked_again) == (9, 0)
    assert "9 of 9 responses" in (output := capsys.readouterr().out) and "9 answers so far have no text" in output


def test_an_answer_that_an_error_of_the_endpoint_ended_is_paid_for_and_not_kept(tmp_path):
    class Broken(Oracle):
        def generate(self, requests):
            for request in requests:
                yield make_response(request["custom_id"], "m", "", 40, 10, "error")

    for _ in range(2):
        responses, account = run(tmp_path, Broken(), requests(1))
        assert (account.spent.calls, account.spent.tokens, account.inferences) == (1, 50, 0)
        with pytest.raises(NoAnswerError, match="ended the answer with an error"):
            read_answer(responses[0])


def test_a_job_that_ends_in_the_middle_goes_on_where_it_was(tmp_path):
    asked = requests(10)
    first = Oracle(fails_after=6)
    with pytest.raises(InputError, match="the endpoint is gone"):
        run(tmp_path, first, asked)
    second = Oracle()
    run(tmp_path, second, asked)
    assert set((first.asked + second.asked).values()) == {1}


def test_requests_that_cannot_be_answered_do_not_end_a_job_whose_others_are(tmp_path):
    class Gloomy(Oracle):
        """Says at its end, as engines do, that it answered nothing."""

        def generate(self, requests):
            answered = False
            for response in super().generate(requests):
                answered = answered or response["error"] is None
                yield response
            if not answered:
                raise InputError("no request is answered")

    asked = requests(2)
    answers = {("user 1", 0): None}
    responses, _ = run(tmp_path / "a", Gloomy(answers), asked)
    for _ in range(2):  # only the second is asked now
        again, account = run(tmp_path / "a", Gloomy(answers), asked)
        assert contents(again) == ["valid", None] == contents(responses) and account.spent.calls == 1
    # Under a ceiling that lets two in at a time, the second pass asks the last one alone.
    asked = requests(3)
    ceilings = Ceilings(tokens=2 * (34 + 100) + 50)
    responses, account = run(tmp_path / "c", Gloomy({("user 2", 0): None}, reads_all_first=True), asked, 0, ceilings)
    assert contents(responses) == ["valid", "valid", None] and account.spent.calls == 3
    with pytest.raises(InputError, match="no request is answered"):
        run(tmp_path / "b", Gloomy(dict.fromkeys([(f"user {n}", 0) for n in range(3)])), asked)


def test_an_engine_without_cost_is_asked_every_time_and_once():
    engine = Oracle({("user 0", 0): "bad", ("user 2", 0): None})
    for times in (1, 2):
        responses, account = answer_once(engine, requests(3))
        assert contents(responses) == ["bad", "valid", None] and set(engine.asked.values()) == {times}
        assert (account.inferences, account.new, account.spent.calls, account.behind.tokens) == (2, 2, 2, 100)
    engine.infers = False  # as of recorded answers: nothing is made, and so nothing spent
    _, account = answer_once(engine, requests(3))
    assert (account.inferences, account.new, account.spent.calls, account.behind.tokens) == (0, 0, 0, 100)


@pytest.mark.parametrize("reads_all_first", [False, True])
@pytest.mark.parametrize(
    ("ceilings", "option", "most"),
    [
        (Ceilings(calls=3), "max_calls", 3),
        # A request may take 34 + 100 tokens, and takes 50: of 300 tokens 4 are sure to fit (after 150 are spent another
        # may take 134), and a fifth may not.
        (Ceilings(tokens=300), "max_tokens", 4),
        # At 1 a million tokens, of money as much.
        (Ceilings(money=0.0003), "max_cost", 4),
    ],
)
def test_a_ceiling_holds_and_what_fits_is_asked(tmp_path, ceilings, option, most, reads_all_first):
    engine = Oracle(reads_all_first=reads_all_first)
    asked = requests(8)
    responses, account = run(tmp_path, engine, asked, ceilings=ceilings, prices=Prices(prompt=1, completion=1))
    assert sum(engine.asked.values()) == most == account.spent.calls
    assert [row["error"]["code"] for row in responses if row["error"]] == ["ceiling"] * (8 - most)
    assert account.ceiling == option and f"not asked, because of the ceiling {option}" in json.dumps(responses)
    # What was answered is usable, and the next run goes on.
    engine = Oracle()
    responses, account = run(tmp_path, engine, asked)
    assert sum(engine.asked.values()) == 8 - most and account.ceiling == ""


def test_attempts_that_an_endpoint_loses_count_under_the_ceilings(tmp_path):
    """By a real engine: the last request is answered with garbage, three times if it may be asked so often."""

    def script(body, _before):
        return FAULTS["garbage"] if body["messages"][0]["content"] == "user 2" else answer("valid", "m")

    def spent(folder, ceilings):
        with chat_endpoint(script) as endpoint:
            patience = {"concurrency": 1, "attempts": 3, "first_wait": 0.01}
            engine = OpenAIEngine("m", Endpoint(endpoint.url, SecretStr(""), **patience))
            responses, account = run(folder, engine, requests(3), attempts=0, ceilings=ceilings)
            assert account.spent.calls == len(endpoint.bodies)
        return [(row["error"] or {}).get("code") for row in responses], account

    codes, account = spent(tmp_path / "a", NO_CEILING)
    # Three attempts of 34 + 100 tokens at worst, and two answers of 7 + 3.
    assert codes == [None, None, "no_answer"] and account.spent.tokens == 3 * 134 + 2 * 10
    codes, account = spent(tmp_path / "b", Ceilings(calls=4))
    assert codes == [None, None, "not_repeated"]
    assert account.spent.calls == 4 and account.ceiling == "max_calls"


def test_the_forecast_is_told_before_and_is_no_less_than_what_was_spent(tmp_path, capsys):
    prices = Prices(prompt=1e6, gpu_hour=2, tokens_per_second=1)
    _, account = run(tmp_path, Oracle(), requests(4), ceilings=Ceilings(calls=2), prices=prices)
    told = capsys.readouterr().out
    # 4 × 134 tokens at one a second are 0.15 GPU-hours, at 2 an hour, and 136 prompt tokens at 1.
    assert "forecast: at most 4 calls, 136 prompt tokens, 400 of answers, 0.15 GPU-hours, cost 136.30, and" in told
    assert "above the ceiling max_calls:" in told and told.index("forecast: ") < told.index("2 of 4 responses")
    assert account.forecast.calls == 4 and account.forecast.completion_tokens >= account.spent.completion_tokens


def test_the_engine_is_stopped_when_the_ledger_cannot_be_written(tmp_path):
    stopped = []

    class Watched(Oracle):
        def generate(self, requests):
            try:
                yield from super().generate(requests)
            finally:
                stopped.append(True)

    asked = requests(2)
    with Ledger(tmp_path) as ledger:
        ledger.append = lambda *_, **__: (_ for _ in ()).throw(InputError("disk full"))
        with pytest.raises(InputError, match="disk full"):
            BatchExchange(Watched(), Validator(), ledger, Budget(NO_CEILING, NO_PRICE), PROMPT_TOKENS, 0).answer(asked)
    assert stopped == [True]
