"""Imports the tokenizer and the chat template of a base, and checks the base."""


def fetch_tokenizer(
    source, turns, tokenizer, tokenizer_config, chat_template, sentencepiece, gate,
    *, base, hub, revision, gguf, context, targets, quantizations,
):  # fmt: skip
    """Write the base's tokenizer for the other steps, after checking that they can use the base.

    This needs no weights. A base of many gigabytes can therefore be refused before its weights
    are downloaded.

    Args:
        source: small files of a local folder (config.json, tokenizer.json, ...), a GGUF, or an
            empty list.
        turns: lines to put before a chat template that does not know an agent's turns.
        tokenizer, tokenizer_config, chat_template: the files written, in one folder.
        sentencepiece: the base's tokenizer.model, which llama.cpp converts such a tokenizer from;
            empty for one of another kind.
        gate: JSON of the gates "chat_ids", conversations with results of tools that do not get
            the same token ids by Transformers and by llama.cpp, "added_tokens", those that do
            not, alone or inside text, and "turns_without_end", 1 if the token that ends a turn
            does not end generation. For a GGUF also "source_ids", conversations that llama.cpp
            gives other ids with the file itself.
        base: name of the base in the configuration.
        hub, revision: source of the base if it is not a local folder, or None.
        gguf: whether the source is a GGUF.
        context: tokens that the runs use.
        targets: {adapter: its `target_modules`} of the adapters on it.
        quantizations: types that must store every row.

    Raises:
        UserError: the base is not available, or cannot be used; see
            `specialist.bases`.
    """
    import json
    import shutil

    from specialist.bases.gguf_source import write_small_files
    from specialist.bases.locate import check_files, file_of, locate
    from specialist.bases.templates import adapt_template, read_turns
    from specialist.bases.tokenizer import (
        choose_pad,
        load_tokenizer,
        mark_control,
        settle_tokenizer,
    )
    from specialist.bases.uses import check_config, check_uses
    from specialist.core import model_files as names
    from specialist.core.gguf_header import read_header
    from specialist.core.prompt import Chat
    from specialist.core.scratch import scratch
    from specialist.gguf.converter import convert
    from specialist.gguf.runtime import Runtime
    from specialist.train.conversations import BaseTokenizer

    place = f"bases.{base}"
    with scratch(tokenizer) as room:
        if gguf:
            folder = write_small_files(place, read_header(place, source[0]), room / "source")
        else:
            folder = locate(place, source, hub, revision, names.SMALL_FILES)
        config = check_files(place, folder)
        config.pop("auto_map", None)
        others = [path.stem for path in folder.glob(names.OTHER_TEMPLATES)]
        made = room / "made"
        made.mkdir()
        for name in names.SMALL_FILES:
            if path := file_of(place, folder, name):
                shutil.copyfile(path, made / name)
        (made / names.CONFIG).write_text(json.dumps(config), encoding="utf-8")
        greedy = settle_tokenizer(place, made)
        check_config(place, config, len(load_tokenizer(place, made)), context)
        convert(made, made / "tokens.gguf", base, weights=False)
        with Runtime(made / "tokens.gguf", weights=False) as runtime:
            mark_control(made, runtime.control_tokens)
        loaded = load_tokenizer(place, made)
        template = adapt_template(place, loaded, read_turns(turns), greedy, others)
        settings = json.loads((made / names.TOKENIZER_CONFIG).read_text(encoding="utf-8"))
        settings.pop("chat_template", None)
        settings["pad_token"] = choose_pad(place, loaded)
        # The token that ends a turn in the template ends generation, whatever its name is.
        settings["eot_token"] = Chat(BaseTokenizer(loaded)).end_text
        text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
        (made / names.TOKENIZER_CONFIG).write_text(text, encoding="utf-8")
        (made / names.TEMPLATE).write_text(template, encoding="utf-8")
        convert(made, made / "tokens.gguf", base, weights=False)
        check_uses(place, folder, targets, quantizations)
        checked = _check(place, made, source[0] if gguf else None)
        shutil.copyfile(made / names.TOKENIZER, tokenizer)
        shutil.copyfile(made / names.TOKENIZER_CONFIG, tokenizer_config)
        shutil.copyfile(made / names.TEMPLATE, chat_template)
        model = made / "tokenizer.model"
        sentencepiece.write_bytes(model.read_bytes() if model.is_file() else b"")
    gate.write_text(json.dumps(checked, indent=1) + "\n")


def _check(place, made, source):
    """The gates of a tokenizer and its GGUF (tokens.gguf) in a folder.

    Args:
        source: the GGUF that the tokenizer is from, or None.

    Raises:
        UserError: Transformers and llama.cpp do not agree.
    """
    from specialist.bases.tokenizer import differing, differing_texts, load_tokenizer
    from specialist.core import gates
    from specialist.core.prompt import Chat
    from specialist.gguf.agreement import differing_tokens, named
    from specialist.gguf.runtime import Runtime
    from specialist.train.conversations import BaseTokenizer

    loaded = load_tokenizer(place, made)
    added = [token.content for token in loaded.added_tokens_decoder.values()]
    figures = {}
    if source:
        with Runtime(source, weights=False) as runtime:
            figures["source_ids"] = differing_texts(loaded, runtime), 0
    with Runtime(made / "tokens.gguf", weights=False) as runtime:
        tokens = differing_tokens(added, BaseTokenizer(loaded), runtime)
        return gates.check(
            f"{place}: chat template and tokens of Transformers against llama.cpp",
            "The agent would read other tokens than the model was trained on, because llama.cpp "
            "converts this tokenizer differently; use another base, or its original tokenizer."
            f"{named(tokens)}",
            chat_ids=(differing(loaded, runtime), 0),
            added_tokens=(len(tokens), 0),
            turns_without_end=(int(not runtime.ends(Chat(runtime).end)), 0),
            **figures,
        )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(fetch_tokenizer, snakemake)
