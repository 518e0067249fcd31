"""A base that exists already: what is checked of it before anything is trained.

Its chat template is the one place from which all steps take how a conversation is written. Where
it does not know the turns of an agent, a few lines are put before it, and what stands in the
base's folder under results/ is the template that training, GGUF and agent use.
"""

import itertools
import json
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.model_files import (
    CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
)

SPACE = "\u2581"  # what SentencePiece writes for a blank
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

ROLES = ("system", "user", "assistant", "tool", "assistant", "tool", "assistant")
TALKS = [
    [
        "You help.\nTools: search, refund",
        'Where is order 48-213? It\'s "late" <again> & cold, 45 minutes!',
        'Thought: look.\nAction: {"name": "search", "arguments": {"query": "late orders"}}',
        '{"rows": [{"amount": 12.5, "note": "Ärger, 3 × 🍕"}]}',
        'Thought: pay.\nAction: {"name": "refund", "arguments": {"order": "48-213", "all": true}}',
        "Paid: 1234567 cents\nto the customer  twice\tchecked",
        "Thought: done.\nAnswer: You get 12.50 back; sorry – it won't happen again.",
    ],
    ["Be brief.", "日本語で?", "Thought: a.\nAnswer: b", "0", "Thought: c.\nAnswer: d", "{}", "e"],
]


def talks():
    """Conversations with results of tools, as an agent has them."""
    return [
        [{"role": role, "content": text} for role, text in zip(ROLES, texts, strict=True)]
        for texts in TALKS
    ]


def locate(place, source, hub, revision, patterns):
    """The folder that a base is taken from.

    Args:
        place: the base's entry in the configuration, for messages.
        source: files of a local folder, or an empty list for a base from the hub.
        hub, revision: its id and commit on the hub, or None.
        patterns: names of the files wanted from there, with wildcards.

    Raises:
        UserError: the hub does not have it.
    """
    from specialist.core.hub import download

    return download(place, hub, revision, patterns) if hub else source[0].parent


def check_files(place, folder):
    """Raise UserError unless a folder holds a configuration and a tokenizer."""
    remedies = {
        CONFIG: "give the folder of a model in the form of Transformers",
        TOKENIZER: "write one with AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
        TOKENIZER_CONFIG: "it comes with tokenizer.json; take it from where the model is from",
    }
    for name, remedy in remedies.items():
        try:
            json.loads((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{place}: {folder} has no {name}; {remedy}") from None
        except ValueError as error:
            raise UserError(f"{place}: {folder / name} is not JSON: {error}; {remedy}") from None


def check_config(place, config, tokens, context):
    """Raise UserError if a base cannot be what this workflow trains and converts.

    Args:
        config: dict of its config.json.
        tokens: size of its tokenizer, added tokens included.
        context: of its entry in the configuration.
    """
    if "quantization_config" in config:
        raise UserError(
            f"{place}: {CONFIG}: found quantization_config, expected weights that are not "
            "quantised; take the model that this one was made from"
        )
    if tokens > config.get("vocab_size", 0):
        raise UserError(
            f"{place}: {CONFIG}: vocab_size: found {config.get('vocab_size')}, expected at least "
            f"the {tokens} tokens of {TOKENIZER}; the tokenizer is of another model, or tokens "
            "were added without embeddings for them"
        )
    if context > config.get("max_position_embeddings", context):
        raise UserError(
            f"{place}.context: found {context}, expected at most the model's "
            f"max_position_embeddings, {config['max_position_embeddings']}"
        )


def check_uses(place, folder, targets, quantizations):
    """Refuse what later steps would refuse of a base's layers; its weights are not read.

    Args:
        folder: with config.json.
        targets: {adapter: its `target_modules`} of the adapters on this base.
        quantizations: llama.cpp's names of the types that it is to be stored in.

    Raises:
        UserError: there is no such layer, or a type cannot store its rows.
    """
    from specialist.gguf.info import quantizations as known
    from specialist.train.adapters import check_targets, linear_layers

    for adapter, names in targets.items():
        check_targets(f"adapters.{adapter}", folder, names)
    layers, types = linear_layers(folder), known()
    for kind in quantizations:
        block = types[kind][1]
        for name, row in layers.items():
            if row % block:
                fitting = ", ".join(k for k, (_, size) in types.items() if size == 32)
                raise UserError(
                    f"{place}: {CONFIG}: {name} has rows of {row} weights, but {kind} of "
                    f"`quantizations` takes multiples of {block}; use one of {fitting}"
                )


def settle_tokenizer(folder):
    """Write the tokenizer in a folder so that Transformers and llama.cpp can only agree about it.

    How SentencePiece is imitated is left to classes and their versions in Transformers, and to
    the model's name in llama.cpp. Here it is written down: whether a blank is put before what
    follows a control token, and that no control token swallows the blanks behind it; the chat
    template then leaves these out itself (`without_blanks`).

    Args:
        folder: holds tokenizer.json, tokenizer_config.json and, for SentencePiece, tokenizer.model.

    Returns:
        list of the texts of control tokens that swallowed blanks.
    """
    from tokenizers import normalizers, pre_tokenizers
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer = json.loads(loaded.backend_tokenizer.to_str())
    settings = json.loads((folder / TOKENIZER_CONFIG).read_text(encoding="utf-8"))
    described = settings.get("added_tokens_decoder", {}).values()
    greedy = [t["content"] for t in tokenizer["added_tokens"] if t["special"] and t["rstrip"]]
    for token in [*tokenizer["added_tokens"], *described]:
        if token["content"] in greedy:
            token["rstrip"] = False
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
    for name, data in ((TOKENIZER, tokenizer), (TOKENIZER_CONFIG, settings)):
        (folder / name).write_text(
            json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return greedy


def without_blanks(template, greedy):
    """A chat template that writes no line's end behind the control tokens `greedy`."""
    if not greedy:
        return template
    strip = "".join(f" | replace('{token}\\n', '{token}')" for token in greedy)
    return f"{{%- set written -%}}{template}{{%- endset -%}}{{{{- written{strip} }}}}"


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
    from specialist.train.finetuning import BaseTokenizer

    model = BaseTokenizer(tokenizer)
    ends = {tokenizer.eos_token_id, Chat(model).end}
    spare = [
        text
        for word in ("pad", "reserved", "unused", "control", "extra", "dummy", "unk")
        for text in model.control_tokens
        if word in text.lower()
    ]
    for text in filter(None, [tokenizer.pad_token, *spare]):
        if tokenizer.convert_tokens_to_ids(text) not in ends:
            return text
    raise UserError(
        f"{place}: {TOKENIZER_CONFIG}: pad_token: found {tokenizer.pad_token}, which is the end "
        "of a text, and the tokenizer has no spare token; name another special token there"
    )


def adapt_template(place, tokenizer, turns, greedy=()):
    """The chat template that writes an agent's conversations: the base's, or with lines before it.

    Args:
        tokenizer: of Transformers; its template is set to what is returned.
        turns: {name: text} of the files in resources/prompts/turns/.
        greedy: what `settle_tokenizer` returned.

    Raises:
        UserError: whatever is put before it, the template does not write such conversations.
    """
    if not isinstance(original := tokenizer.chat_template, str):
        raise UserError(
            f"{place}: {TOKENIZER_CONFIG}: found no chat template; take the model that was tuned "
            "for conversations (its name often ends with Instruct), or add chat_template.jinja"
        )
    original = without_blanks(original, greedy)
    date = [turns["fixed_date"]] if "strftime_now" in original else []
    ways = [[], ["tool_as_user"], ["system_in_user"], ["tool_as_user", "system_in_user"]]
    problems = []
    for way in ways:
        tokenizer.chat_template = "".join([*date, *(turns[name] for name in way), original])
        if not (problem := next(filter(None, map(_problem(tokenizer), talks())), None)):
            print(f"chat template: {' and '.join(way) or 'as it is'}")
            return tokenizer.chat_template
        problems.append(problem)
    raise UserError(
        f"{place}: the chat template does not write an agent's turns ({problems[0]}), nor with the "
        f"results of tools and the system message as the user's ({problems[-1]}); put a "
        "chat_template.jinja that writes the roles system, user, assistant and tool into the "
        "model's folder"
    )


def _problem(tokenizer):
    """A function from a conversation to what a template does to it that it must not, or None."""
    from jinja2 import TemplateError

    from specialist.core.prompt import Chat
    from specialist.train.finetuning import BaseTokenizer

    model = BaseTokenizer(tokenizer)

    def problem(talk):
        chat = Chat(model)
        turns = [i for i, turn in enumerate(talk) if turn["role"] == "assistant"]
        try:
            if chat.lead.strip():
                return f"it writes {chat.lead!r} before what the assistant says"
            prompts = [model.render(talk[:i], open=True) for i in turns]
            for i, (before, after) in zip(turns, itertools.pairwise(prompts), strict=False):
                if not after.startswith(before + chat.lead + talk[i]["content"] + chat.end_text):
                    return f"a prompt is not the one before it, continued: {after[:400]!r}"
            left_out = [turn["role"] for turn in talk[:-1] if turn["content"] not in prompts[-1]]
        except (TemplateError, UserError, ValueError) as error:
            return str(error)
        return f"the text of a {left_out[0]} is not there as it was said" if left_out else None

    return problem


def differing(tokenizer, runtime):
    """Number of prompts in `talks` whose token ids are not the same by Transformers and llama.cpp.

    Args:
        tokenizer: of Transformers, with the template that is used.
        runtime: an open `specialist.gguf.runtime.Runtime` of the GGUF.
    """
    from specialist.core.prompt import Chat
    from specialist.train.finetuning import BaseTokenizer

    own, theirs, count = Chat(BaseTokenizer(tokenizer)), Chat(runtime), 0
    prompts = [talk[:i] for talk in talks() for i in (2, 4, 6)]
    for prompt in prompts:
        expected = tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, return_dict=False
        )
        count += not expected == own.ids(prompt) == theirs.ids(prompt)
    return count


def find_weights(place, folder):
    """Paths of a base's weights: model.safetensors, or the shards that its index names, in order.

    Raises:
        UserError: there are none, or they are pickles, which run code when they are read; a shard
            is missing or truncated.
    """
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        names = ["model.safetensors"]
    elif index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        found = (
            f"found {', '.join(pickles)}, which may run code," if pickles else "found no weights,"
        )
        raise UserError(
            f"{place}: {folder}: {found} expected model.safetensors; write it with "
            "AutoModelForCausalLM.from_pretrained(...).save_pretrained(folder), where you trust "
            "the model"
        )
    for name in names:
        try:
            with safe_open(folder / name, framework="pt"):
                pass
        except FileNotFoundError:
            raise UserError(
                f"{place}: {folder} has no {name}, which {index.name} names; fetch it too"
            ) from None
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{place}: {folder / name}: damaged or cut off ({error}); fetch it anew"
            ) from None
    return [folder / name for name in names]


def check_weights(place, config, weights):
    """Raise UserError unless the weights are those of the model that config.json describes.

    Args:
        config: folder of config.json.
        weights: paths of the safetensors.
    """
    import torch
    from safetensors import safe_open
    from transformers import AutoConfig, AutoModelForCausalLM

    found = {}
    for path in weights:
        with safe_open(path, framework="pt") as file:
            found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(config, local_files_only=True)
        )
    # named_parameters leaves out what is tied to another.
    for name, parameter in network.named_parameters():
        if found.get(name) != tuple(parameter.shape):
            raise UserError(
                f"{place}: {name}: found {found.get(name, 'no such tensor')}, expected "
                f"{tuple(parameter.shape)} by {CONFIG} (vocab_size {network.config.vocab_size}); "
                "weights and config.json are of different models, or some files are missing"
            )


def join(shards, target):
    """Write several safetensors as one, as they are: nothing is read into memory whole.

    Args:
        shards: paths of files that share no tensor.
        target: file to write.
    """
    import shutil

    from specialist.train.streaming import places

    header, size, bodies = {}, 0, []
    for path in shards:
        entries = places(path)
        start = min(entry["data_offsets"][0] for entry in entries.values())
        for name, entry in entries.items():
            moved = [size + offset - start for offset in entry["data_offsets"]]
            header[name] = entry | {"data_offsets": moved}
        bodies.append((path, start))
        size += path.stat().st_size - start
    text = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for path, start in bodies:
            with open(path, "rb") as file:
                file.seek(start)
                shutil.copyfileobj(file, out, 1 << 24)


def read_turns(paths):
    """{name: text} of files in resources/prompts/turns/."""
    return {Path(path).stem: Path(path).read_text(encoding="utf-8") for path in paths}
