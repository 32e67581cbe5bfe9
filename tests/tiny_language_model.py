"""A Llama of random weights with a byte-level tokenizer and a chat template: a real model for vLLM, made in a second.

Its answers mean nothing; that they come, are of the form that was asked for and repeat themselves can be tested.
"""

from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONTEXT = 4096  # tokens, which are bytes here
SPECIAL_TOKENS = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def write_tiny_language_model(
    folder: Path, *, context: int = CONTEXT, chat_template: bool = True, width: int = 64, layers: int = 2
) -> Path:
    """Write weights, configuration and tokenizer in the form of the Hugging Face hub; `folder`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    # One token for each byte and no merges: every text can be written and read.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({byte: number for number, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", model_max_length=context)
    if chat_template:
        fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(fast),
                hidden_size=width,
                intermediate_size=2 * width,
                num_hidden_layers=layers,
                num_attention_heads=max(1, width // 32),
                num_key_value_heads=max(1, width // 32),
                max_position_embeddings=context,
                bos_token_id=None,
                eos_token_id=fast.eos_token_id,
                initializer_range=0.5,  # small ones would make every answer nearly the same
                tie_word_embeddings=False,
            )
        )
    model.save_pretrained(folder)
    return folder
