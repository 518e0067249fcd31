"""Tiny models of the open families with random weights, in folders as they are published."""

import functools
import io
import json

SPACES = "\u2581"  # what SentencePiece writes for a blank
TEXTS = [
    "Where is my order 48-213? It is 45 minutes late, and the food is cold!",
    'Thought: look.\nAction: {"name": "search", "arguments": {"query": "late orders"}}',
    "Thought: done.\nAnswer: Refunds of up to 1234567 cents are paid at once.  Two  blanks,\ttabs",
    "Ärger über 3 kalte Gerichte – 🍕 и борщ, 日本語 ２３½, I'll DON'T we've.",
] * 4
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPLIT = QWEN2_SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|")
GPT4O_SPLIT = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# As Mistral's v3 instruct models have it: turns of tools are not of the user's, and need an id.
MISTRAL = """\
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if message.role != "tool" %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("conversation roles must alternate user/assistant") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- elif message["role"] == "tool" %}
        {%- if not message.tool_call_id is defined or message.tool_call_id|length != 9 %}
            {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
"""
PHI4 = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{{ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}"
    "{{ eos_token }}{% endif %}"
)
IM = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
EOT = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
       "<|eot_id|>", "<|finetune_right_pad_id|>"]  # fmt: skip
PHI = ["<|endoftext|>", "<|assistant|>", "<|end|>", "<|system|>", "<|user|>", "<|dummy_0|>"]
# family: (configuration class, chat template, tokenizer, its settings)
FAMILIES = {
    "llama": ("LlamaConfig", "llama3_2", ("bytes", LLAMA3_SPLIT, EOT),
              {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": EOT[0],
               "eos_token": EOT[4]}),
    "llama-2": ("LlamaConfig", MISTRAL, ("pieces", "llama", ["[INST]", "[/INST]"]),
                {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
                 "unk_token": "<unk>", "legacy": True}),
    "qwen2": ("Qwen2Config", "qwen2_5", ("bytes", QWEN2_SPLIT, IM),
              {"tokenizer_class": "Qwen2Tokenizer", "eos_token": IM[2], "pad_token": IM[0],
               "add_bos_token": False}),
    "qwen3": ("Qwen3Config", "qwen3", ("bytes", QWEN2_SPLIT, IM),
              {"tokenizer_class": "Qwen2Tokenizer", "eos_token": IM[2], "pad_token": IM[0],
               "add_bos_token": False}),
    "mistral": ("MistralConfig", MISTRAL,
                ("pieces", "mistral", ["[INST]", "[/INST]", "[control_8]"]),
                {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
                 "unk_token": "<unk>", "legacy": False, "add_prefix_space": True}),
    "gemma": ("GemmaConfig", "gemma", ("pieces", "gemma", ["<start_of_turn>", "<end_of_turn>"]),
              {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>",
               "unk_token": "<unk>", "pad_token": "<pad>"}),
    "phi-3": ("Phi3Config", "phi3", ("pieces", "phi-3", PHI),
              {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": PHI[0],
               "unk_token": "<unk>", "pad_token": PHI[0], "legacy": False}),
    "phi-4": ("Phi3Config", PHI4, ("bytes", GPT4O_SPLIT, PHI),
              {"tokenizer_class": "GPT2Tokenizer", "bos_token": PHI[0], "eos_token": PHI[0],
               "pad_token": PHI[0]}),
}  # fmt: skip


@functools.cache
def template(name):
    """A chat template: of trl's collection of those that are published, or the text itself."""
    from importlib.resources import files

    if "{" in name:
        return name
    return (files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def save(folder, family):
    """Write a model of a family; returns `folder`."""
    import transformers

    kind, chat, (tokens, *how), settings = FAMILIES[family]
    folder.mkdir(parents=True, exist_ok=True)
    {"bytes": _bytes, "pieces": _pieces}[tokens](folder, *how)
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    decoder = {str(token["id"]): token for token in data["added_tokens"]}
    settings = settings | {
        "added_tokens_decoder": {
            number: {key: value for key, value in token.items() if key != "id"}
            for number, token in decoder.items()
        },
        "chat_template": template(chat),
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    vocabulary = {**data["model"]["vocab"], **{t["content"]: t["id"] for t in data["added_tokens"]}}
    _weights(folder, getattr(transformers, kind), vocabulary, settings)
    return folder


def _weights(folder, kind, vocabulary, settings):
    import torch
    from transformers import AutoModelForCausalLM

    config = kind(
        vocab_size=-(-len(vocabulary) // 64) * 64,  # padded, as most are
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=1024,
        bos_token_id=vocabulary.get(settings.get("bos_token")),
        eos_token_id=vocabulary[settings["eos_token"]],
        pad_token_id=vocabulary.get(settings.get("pad_token")),
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for name, weights in model.named_parameters():
        if weights.dim() == 2:  # so that logits differ enough to be compared
            weights.data.mul_(3 if "embed" in name else 5)
    model.to(torch.bfloat16).save_pretrained(folder)


def _bytes(folder, split, specials):
    """Byte-level BPE behind an expression."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(ignore_merges=split == LLAMA3_SPLIT))
    if split == QWEN2_SPLIT:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens(specials)
    tokenizer.save(str(folder / "tokenizer.json"))


def _pieces(folder, style, specials):
    """SentencePiece with byte fallback: tokenizer.model, and the same as tokenizer.json."""
    import sentencepiece
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

    gemma = style == "gemma"
    unused = [f"<unused{i}>" for i in range(99)] if gemma else []
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in TEXTS for line in text.splitlines()),
        model_writer=made,
        model_type="bpe",
        vocab_size=700,
        byte_fallback=True,
        character_coverage=0.99,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        add_dummy_prefix=not gemma,
        user_defined_symbols=["<2mass>", "[@BOS@]", *unused, *specials] if gemma else [],
        hard_vocab_limit=False,
        minloglevel=2,
        **({"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "pad_piece": "<pad>",
            "eos_piece": "<eos>", "bos_piece": "<bos>"} if gemma else {}),
    )  # fmt: skip
    (folder / "tokenizer.model").write_bytes(made.getvalue())
    model = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
    pieces = [model.id_to_piece(number) for number in range(model.get_piece_size())]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [
        (model.get_score(number), -vocabulary[piece[:i]], -vocabulary[piece[i:]], piece, i)
        for number, piece in enumerate(pieces)
        for i in range(1, len(piece))
        if piece[:i] in vocabulary and piece[i:] in vocabulary and "<" not in piece
    ]
    merges = [(piece[:i], piece[i:]) for *_, piece, i in sorted(merges, reverse=True)]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    blank = normalizers.Replace(" ", SPACES)
    if style == "mistral":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACES, "first", False)
    elif gemma:
        tokenizer.normalizer = blank
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACES), blank])
    end = [] if gemma else [decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACES, " "), decoders.ByteFallback(), decoders.Fuse(), *end]
    )
    own = ["<pad>", "<eos>", "<bos>", "<unk>"] if gemma else ["<unk>", "<s>", "</s>"]
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in own]
        + [
            AddedToken(token, normalized=False, special=True, rstrip=style == "phi-3")
            for token in specials
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
