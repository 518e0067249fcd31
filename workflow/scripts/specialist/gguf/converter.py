"""llama.cpp's own converter, taken from the sources that the runtime was built from."""

import importlib
import json
import re
import sys
from collections import Counter
from pathlib import Path

from specialist.core.errors import UserError

# llama.cpp's names of pre-tokenizers, by their expression: for Llama 3 (words, figures in
# groups of up to three digits, punctuation, blanks), Qwen 2 (single digits) and GPT-4o (by case).
SPLITS = {
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": "llama-bpe",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": "qwen2",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+": "gpt-4o",
}


def convert(folder, gguf, name, weights=True):
    """Write an F16 GGUF of a Hugging Face model.

    The converter knows tokenizers by a hash of their ids, so it does not know a tokenizer that
    was trained here. It treats it as a known tokenizer that splits text in the same way.

    Args:
        folder: holds config.json, model.safetensors and the tokenizer's files.
        gguf: file to write; its bytes follow from the folder's contents and `name` alone.
        name: the model's name in the metadata.
        weights: False for a GGUF of the tokens alone.

    Raises:
        UserError: llama.cpp knows neither the architecture nor the tokenizer, or the
            converter is missing.
    """
    import torch

    conversion = _conversion()
    gguf_py = importlib.import_module("gguf")
    conversion.logger.setLevel("ERROR")
    known = _model_class(conversion, folder)

    class Converter(known):
        model_arch = known.model_arch
        adds_tokens = True  # unless found otherwise; a SentencePiece model says itself

        def get_vocab_base_pre(self, tokenizer):
            # The file states what llama.cpp adds around a text, instead of llama.cpp's defaults:
            # "llama-bpe" alone would mean a start token.
            self.adds_tokens = bool(tokenizer("")["input_ids"])
            try:
                return super().get_vocab_base_pre(tokenizer)
            except NotImplementedError:
                return _known_split(folder / "tokenizer.json")

        def get_vocab_base(self):
            # The converter decodes the text of an added token as if it were bytes of the
            # byte-level alphabet: "\u00a7" would become half a character.
            tokens, kinds, split = super().get_vocab_base()
            for token in _added_tokens(folder):
                if not token["normalized"] and token["id"] < len(tokens):
                    tokens[token["id"]] = token["content"]
            return tokens, kinds, split

        def set_vocab(self):
            super().set_vocab()
            refuse_twins(self.gguf_writer.kv_data[0][gguf_py.Keys.Tokenizer.LIST].value)
            settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
            if text := settings.get("eot_token"):
                ids = {token["content"]: token["id"] for token in _added_tokens(folder)}
                self.gguf_writer.remove_key(gguf_py.Keys.Tokenizer.EOT_ID)
                self.gguf_writer.add_eot_token_id(ids[text])
            if "add_prefix_space" in settings:
                self.gguf_writer.remove_key(gguf_py.Keys.Tokenizer.ADD_PREFIX)
                self.gguf_writer.add_add_space_prefix(settings["add_prefix_space"])
            if not self.adds_tokens:
                self.gguf_writer.remove_key(gguf_py.Keys.Tokenizer.ADD_BOS)
                self.gguf_writer.add_add_bos_token(False)

    try:
        with torch.inference_mode():
            # llama.cpp has tokens swallow blanks in a model of this name (`settle_tokenizer`).
            name = re.sub(r"(?i)(phi)-?(?=3)", r"\1 ", name)
            made = Converter(folder, gguf_py.LlamaFileType.MOSTLY_F16, gguf, model_name=name)
            made.write() if weights else made.write_vocab()
    except UserError:
        raise
    except Exception as error:  # a model that does not fit its architecture can fail anywhere
        raise UserError(
            f"{folder}: llama.cpp's converter cannot convert this model: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        ) from error


def architecture(config):
    """llama.cpp's architecture of a model, a member of `gguf.MODEL_ARCH`.

    Args:
        config: of Transformers, with `architectures`.
    """
    return _conversion().get_model_class(config.architectures[0]).model_arch


def _model_class(conversion, folder):
    """The converter's class for the architecture that a config.json names."""
    hparams = conversion.ModelBase.load_hparams(folder, False)
    named = hparams.get("architectures")
    if not isinstance(named, list) or not named or not all(isinstance(n, str) for n in named):
        raise UserError(
            f"config.json: architectures: found {named!r}, expected a list with the name of the "
            "model's class, such as [LlamaForCausalLM]"
        )
    architecture = conversion.get_model_architecture(hparams, conversion.ModelType.TEXT)
    try:
        return conversion.get_model_class(architecture)
    except NotImplementedError:
        raise UserError(
            f"config.json: architectures: llama.cpp does not know {architecture!r}; use a base "
            "of an architecture that it runs, such as LlamaForCausalLM or Qwen3ForCausalLM"
        ) from None


def _added_tokens(folder):
    """The entries of `added_tokens` in the tokenizer.json of a folder."""
    return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]


def refuse_twins(tokens):
    """Raise UserError if two tokens have the same text: llama.cpp would end the process."""
    texts = [bytes(token) if not isinstance(token, str) else token.encode() for token in tokens]
    if len({*texts}) < len(texts):
        twin = Counter(texts).most_common(1)[0][0].decode(errors="replace")
        raise UserError(
            f"tokenizer.json: added_tokens: found {twin!r} under two ids; a token that is in the "
            "vocabulary already must not be added with another id"
        )


def _conversion():
    """llama.cpp's `conversion` package."""
    home = Path(sys.prefix) / "share" / "llama.cpp"
    if not (home / "conversion" / "__init__.py").is_file():
        raise UserError(
            f"{home}: llama.cpp's converter is not installed; `make` installs it, so run this "
            "in the environment that `make` sets up (source .venv/bin/activate)"
        )
    if str(home) not in sys.path:
        sys.path.append(str(home))
    return importlib.import_module("conversion")


def _known_split(tokenizer):
    """llama.cpp's name for the way in which a tokenizer.json splits text.

    Raises:
        UserError: llama.cpp does not know this way.
    """
    split = json.loads(tokenizer.read_text(encoding="utf-8")).get("pre_tokenizer") or {}
    found = [
        part.get("pattern", {}).get("Regex", part["type"])
        for part in split.get("pretokenizers", [split] if split else [])
    ]
    if len(found) == 2 and found[0] in SPLITS and found[1] == "ByteLevel":
        return SPLITS[found[0]]
    raise UserError(
        f"tokenizer.json: pre_tokenizer: llama.cpp does not know this tokenizer, and it "
        f"splits text by {found}; expected a Split by {next(iter(SPLITS))!r} and then ByteLevel. "
        "Train the tokenizer with that pre-tokenizer, or use one that llama.cpp knows"
    )
