"""The tokenizer of a base, written so that Transformers and llama.cpp agree about it."""

import json

from specialist.bases.templates import talks
from specialist.core.errors import UserError
from specialist.core.model_files import TOKENIZER, TOKENIZER_CONFIG

SPACE = "\u2581"  # what SentencePiece writes for a blank


def load_tokenizer(place, folder):
    """The tokenizer of a folder, of Transformers.

    Raises:
        UserError: Transformers cannot read it.
    """
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        loaded.backend_tokenizer.encode("a")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a file of a wrong form can fail anywhere, also in Rust
        reason = " ".join(str(error).split())
        raise UserError(
            f"{place}: {TOKENIZER}: Transformers cannot read this tokenizer "
            f"({type(error).__name__}: {reason[:400]}); fetch it again, or write one with "
            "AutoTokenizer.from_pretrained(...).save_pretrained(folder)"
        ) from None
    return loaded


def settle_tokenizer(place, folder):
    """Write the tokenizer in a folder so that Transformers and llama.cpp can only agree about it.

    In Transformers, the class and its version decide how SentencePiece is imitated; in llama.cpp,
    the model's name decides. Here the files state it: whether a blank precedes the text after a
    control token, and that no added token swallows the blanks around it or matches only whole
    words, which llama.cpp cannot do. The chat template then leaves out the blanks after control
    tokens itself (`without_blanks`). The files no longer name the model's own code.

    Args:
        folder: holds tokenizer.json, tokenizer_config.json and, for SentencePiece, tokenizer.model.

    Returns:
        list of the texts of control tokens that swallowed blanks.
    """
    from tokenizers import normalizers, pre_tokenizers

    loaded = load_tokenizer(place, folder)
    tokenizer = json.loads(loaded.backend_tokenizer.to_str())
    settings = json.loads((folder / TOKENIZER_CONFIG).read_text(encoding="utf-8"))
    greedy = [t["content"] for t in tokenizer["added_tokens"] if t["special"] and t["rstrip"]]
    for token in tokenizer["added_tokens"]:
        token |= {"lstrip": False, "rstrip": False, "single_word": False}
    if (folder / "tokenizer.model").is_file():
        control = next(t["content"] for t in tokenizer["added_tokens"] if t["special"])
        behind = loaded(control + "a", add_special_tokens=False)["input_ids"][1]
        blank = loaded.convert_ids_to_tokens(behind).startswith(SPACE)
        settings |= {"add_prefix_space": blank, "tokenizer_class": "PreTrainedTokenizerFast"}
        if isinstance(loaded.backend_tokenizer.pre_tokenizer, pre_tokenizers.Metaspace):
            before = [normalizers.Prepend(SPACE)] if blank else []
            loaded.backend_tokenizer.normalizer = normalizers.Sequence(
                [*before, normalizers.Replace(" ", SPACE)]
            )
            tokenizer["normalizer"] = json.loads(loaded.backend_tokenizer.to_str())["normalizer"]
            tokenizer["pre_tokenizer"] = None
    settings.pop("auto_map", None)
    _write(folder, tokenizer, settings)
    return greedy


def mark_control(folder, names):
    """Have Transformers take tokens for control tokens that llama.cpp takes for such.

    llama.cpp knows them by their names (`<|fim_prefix|>`), whatever the tokenizer says. Text from
    outside must not hold them in one and not in the other.

    Args:
        folder: holds tokenizer.json and tokenizer_config.json.
        names: texts of llama.cpp's control tokens.
    """
    tokenizer, settings = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in (TOKENIZER, TOKENIZER_CONFIG)
    )
    for token in tokenizer["added_tokens"]:
        token["special"] = token["special"] or token["content"] in names
    _write(folder, tokenizer, settings)


def _write(folder, tokenizer, settings):
    """Write both files; llama.cpp reads the added tokens of SentencePiece from the second alone."""
    settings["added_tokens_decoder"] = {
        str(token["id"]): {key: value for key, value in token.items() if key != "id"}
        for token in tokenizer["added_tokens"]
    }
    for name, data in ((TOKENIZER, tokenizer), (TOKENIZER_CONFIG, settings)):
        (folder / name).write_text(
            json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def choose_pad(place, tokenizer):
    """The text of the pad token: the base's own, or one that its training never used.

    It is never the end of a text or a turn: a loss that skips padding would skip the end too, and
    the model would not learn to stop.

    Args:
        tokenizer: of Transformers.

    Raises:
        UserError: there is none.
    """
    from specialist.core.prompt import Chat
    from specialist.train.conversations import BaseTokenizer

    model = BaseTokenizer(tokenizer)
    ends = {tokenizer.eos_token_id, Chat(model).end}
    spare = [
        text
        for word in ("pad", "reserved", "unused", "control", "extra", "dummy", "unk")
        for text in model.control_tokens
        if word in text.lower()
    ]
    for text in filter(None, [tokenizer.pad_token, *spare, tokenizer.unk_token]):
        if tokenizer.convert_tokens_to_ids(text) not in ends:
            return text
    raise UserError(
        f"{place}: {TOKENIZER_CONFIG}: pad_token: found {tokenizer.pad_token}, which is the end "
        "of a text, and the tokenizer has no spare token; name another special token there"
    )


def differing_texts(tokenizer, runtime):
    """Number of `talks`, as the template writes them, with other token ids in llama.cpp.

    Args:
        tokenizer, runtime: as of `differing`; the runtime's own template is not used.
    """
    texts = [tokenizer.apply_chat_template(talk, tokenize=False) for talk in talks()]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return sum(runtime.tokenize(text) != own for text, own in zip(texts, ids, strict=True))


def differing(tokenizer, runtime):
    """Number of prompts in `talks` whose token ids are not the same by Transformers and llama.cpp.

    Args:
        tokenizer: of Transformers, with the template that is used.
        runtime: an open `specialist.gguf.runtime.Runtime` of the GGUF.
    """
    from specialist.core.prompt import Chat
    from specialist.train.conversations import BaseTokenizer

    own, theirs, count = Chat(BaseTokenizer(tokenizer)), Chat(runtime), 0
    prompts = [talk[:i] for talk in talks() for i in (2, 4, 6)]
    for prompt in prompts:
        expected = tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, return_dict=False
        )
        count += not expected == own.ids(prompt) == theirs.ids(prompt)
    return count
