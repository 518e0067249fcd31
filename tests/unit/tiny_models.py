"""Tiny models with random weights and a tokenizer trained on a few lines, for the GGUF tests."""

import json

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXTS = [
    "<|im_start|>user\nWhere is my order #XG-NG-FM? It's 45 minutes late!<|im_end|>\n",
    "<|im_start|>assistant\nThought: look it up.\nAction: get_order"
    '\nInput: {"order": "#XG-NG-FM", "amount": 12.50}<|im_end|>\n',
    "Refunds of up to 1234567 cents are paid at once.  Two  blanks,\ttabs\n\n\nand lines.",
    "Ärger über 3 kalte Gerichte – 🍕 и борщ, 日本語 ２３½, I'Ll DON'T we'VE.\r\n   ",
    "",
]


def byte_level_bpe(split=LLAMA3_SPLIT, vocab_size=512):
    """A `PreTrainedTokenizerFast`: byte-level BPE behind the given pre-tokenizer expression."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        extra_special_tokens=["<|endoftext|>", "<|im_start|>"],
    )


def save_model(folder, kind="qwen3", *, hidden=256, split=LLAMA3_SPLIT):
    """Write a random model (`kind` is "qwen3" or "llama") with its tokenizer; returns `folder`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    tokenizer = byte_level_bpe(split)
    config_class, model_class = {
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
        "llama": (LlamaConfig, LlamaForCausalLM),
    }[kind]
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 64,
        head_dim=64,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = model_class(config)
    # With its initial weights a model repeats its input token; larger ones make it choose,
    # so that comparing logits and greedy tokens means something.
    for name, weights in model.named_parameters():
        if weights.dim() == 2:
            weights.data.mul_(3 if "embed" in name else 5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_texts(path, texts=TEXTS):
    """Write JSONL with one "text" per line; returns `path`."""
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def teach(folder, conversations, steps=120):
    """Train the model in a folder until it answers the last message of some conversations.

    Args:
        folder: what `save_model` wrote, with chat_template.jinja.
        conversations: lists of {"role", "content"}.
        steps: optimizer steps, each over one of them.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    torch.manual_seed(0)
    # Begun anew: the weights of a random model that chooses are too large to learn from.
    model.init_weights()
    batches = []
    for turns in conversations:
        made = tokenizer.apply_chat_template(
            turns, return_dict=True, return_assistant_tokens_mask=True
        )
        ids, mask = (torch.tensor([made[key]]) for key in ("input_ids", "assistant_masks"))
        last = max(place for place, turn in enumerate(turns) if turn["role"] == "user")
        if last:
            before = tokenizer.apply_chat_template(turns[:last], return_dict=True).input_ids
            mask[:, : len(before)] = 0
        batches.append((ids, ids.masked_fill(mask == 0, -100)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(steps):
        ids, labels = batches[step % len(batches)]
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.1, f"the tests' model has not learnt its lines: loss {loss:.2f}"
    model.save_pretrained(folder)
