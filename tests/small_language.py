"""Small language models with random weights, and conversations for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from graft.core.process import prepare_process

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim"
    " + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Earlier turns lose their reasoning once more follow, as Qwen 3's do.
FORGETFUL = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' and loop.last %}{{ '<think></think>' }}{% endif %}"
    "{{ message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MASKED = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ '<|im_start|>assistant\n' }}"
    "{% generation %}{{ message['content'] }}{% endgeneration %}{{ '<|im_end|>\n' }}{% else %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def make_language(
    folder: Path,
    *,
    template: str | None = None,
    eos: str = "</s>",
    pad: str | None = "</s>",
    kind: str = "llama",
    seed: int = 0,
    n_places: int = 160,
) -> Path:
    """Write a small language model with a tokenizer of bytes, and return its folder."""
    prepare_process()
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate([*SPECIAL, *letters])}
    backend = Tokenizer(models.BPE(words, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token=eos, unk_token="<unk>", pad_token=pad
    )
    tokenizer.chat_template = template
    ids: dict[str, Any] = {"vocab_size": len(words), "bos_token_id": 1, "eos_token_id": words[eos]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "gpt2":
            drops = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
            network: Any = GPT2LMHeadModel(
                GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=n_places, **drops, **ids)
            )
        else:
            network = LlamaForCausalLM(
                LlamaConfig(
                    hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, max_position_embeddings=n_places, **ids,
                )
            )  # fmt: skip
    network.generation_config.eos_token_id = words[eos]
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def questions(n: int) -> list[dict[str, str]]:
    """Return rows of instructions whose answer is their word backwards, of unequal length."""
    names = ["cat", "horse", "mouse", "cow", "elephant", "dog", "lion", "goat", "bee", "giraffe"]
    return [
        {"instruction": f"turn {names[i % 10]} {i}", "input": "please" if i % 3 else "", "output": names[i % 10][::-1]}
        for i in range(n)
    ]
