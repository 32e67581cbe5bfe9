import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from components.llm_tuning.encoding import EncodedExample
from components.llm_tuning.training import TrainingConfig, answer_loss, mean_loss, train

CONFIG = TrainingConfig(batch_size=4, passes=1, fewest_steps=60, most_steps=60, learning_rate=1e-2)


def new_network() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=12,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=32,
        )
    )


def example(*tokens: int, answer: int) -> EncodedExample:
    return EncodedExample(np.array(tokens), len(tokens) - answer)


def test_the_loss_is_that_of_the_answers_tokens_whatever_the_padding():
    network = new_network()
    batch = [example(1, 2, 3, 4, 5, answer=2), example(6, 7, 8, answer=1)]

    total, count = answer_loss(network, batch, "cpu")

    expected = torch.tensor(0.0)
    for tokens, answer in (((1, 2, 3, 4, 5), 2), ((6, 7, 8), 1)):
        log_probabilities = network(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
        for position in range(len(tokens) - answer, len(tokens)):
            expected = expected - log_probabilities[position - 1, tokens[position]]
    assert count == 3
    torch.testing.assert_close(total, expected)
    assert mean_loss(network, batch, 1, "cpu") == pytest.approx(expected.item() / 3, rel=1e-5)


def copied_tokens() -> list[EncodedExample]:
    random = np.random.default_rng(0)
    return [example(*prompt, 0, prompt[0], answer=1) for prompt in random.integers(1, 12, (40, 3)).tolist()]


def test_training_learns_and_repeats_itself_bit_for_bit():
    networks = [new_network(), new_network()]
    before = mean_loss(networks[0], copied_tokens(), 8, "cpu")
    for network in networks:
        assert train(network, copied_tokens(), CONFIG, "cpu") == 60
    assert mean_loss(networks[0], copied_tokens(), 8, "cpu") < before - 0.5
    for first, second in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(first, second)


def test_steps_follow_the_number_of_examples_between_bounds():
    config = TrainingConfig(batch_size=10, passes=2, fewest_steps=5, most_steps=50, learning_rate=1.0)
    assert [config.steps(examples) for examples in (1, 100, 101, 100_000)] == [5, 20, 21, 50]
