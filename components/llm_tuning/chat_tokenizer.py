"""The tokenizer of a model that is trained from nothing: byte-level BPE over the prompts of one data set.

Its pieces follow the JSON of the prompts: a key with its punctuation, a run of words, a number, what stands between
them. Merges stay inside a piece, so a category is the same token wherever it stands, the instruction that all prompts
share shrinks to a few tokens, and a prompt of a model this small is some 300 tokens instead of some 1,000.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

END = "<|end|>"
PADDING = "<|padding|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

_KEY = r'[\[\]{},:" ]*"[a-z_]+": ?[\[{"]*'
_NUMBER = r"\d+"
_WORDS = r'[^\d"\[\]{},:.\s](?:[^\d"\[\]{},:.\n]*[^\d"\[\]{},:.\s])?'
_BETWEEN = r'[\[\]{},:". ]+|\s+'
PIECES = "|".join((_KEY, _NUMBER, _WORDS, _BETWEEN))


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerBase:
    """A tokenizer with a chat template that can write any text: what it has no token for, it writes byte by byte.

    Args:
        texts: what it learns its tokens from, the messages and answers of training.
        vocabulary: how many tokens it has at most.
    """
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[PADDING, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PADDING, additional_special_tokens=list(ROLES)
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped
