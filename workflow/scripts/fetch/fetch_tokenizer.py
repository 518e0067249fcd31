"""Takes over the tokenizer and the chat template of a base, and checks what the base is."""


def fetch_tokenizer(
    source, turns, tokenizer, tokenizer_config, chat_template, sentencepiece, gate,
    *, base, hub, revision, context, targets, quantizations,
):  # fmt: skip
    """Write the base's tokenizer as the other steps read it, if all of them can use the base.

    No weights are needed for this, so that a base of many gigabytes is refused before any of
    them is fetched.

    Args:
        source: small files of a local folder (config.json, tokenizer.json, ...), or an empty list.
        turns: what may be put before a chat template that does not know an agent's turns.
        tokenizer, tokenizer_config, chat_template: the files written, in one folder.
        sentencepiece: the base's tokenizer.model, which llama.cpp converts such a tokenizer from;
            empty for one of another kind.
        gate: JSON of the gates "chat_ids", conversations with results of tools that do not get
            the same token ids by Transformers and by llama.cpp, and "turns_without_end", 1 if
            the token that ends a turn does not end generation.
        base: name of the base in the configuration.
        hub, revision: where the base is from if it is no local folder, or None.
        context: tokens that the runs use.
        targets, quantizations: what is made of it; see `check_uses` in specialist.bases.imported.

    Raises:
        UserError: the base is not to be had, or is one that cannot be used; see
            `specialist.bases.imported`.
    """
    import json
    import shutil

    from transformers import AutoTokenizer

    from specialist.bases import imported as bases
    from specialist.core import gates
    from specialist.core.model_files import SMALL_FILES
    from specialist.core.prompt import Chat
    from specialist.core.scratch import scratch
    from specialist.gguf.converter import convert
    from specialist.gguf.runtime import Runtime
    from specialist.train.finetuning import BaseTokenizer

    place = f"bases.{base}"
    folder = bases.locate(place, source, hub, revision, SMALL_FILES)
    bases.check_files(place, folder)
    config = json.loads((folder / bases.CONFIG).read_text(encoding="utf-8"))
    with scratch(tokenizer) as made:
        for name in SMALL_FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, made / name)
        greedy = bases.settle_tokenizer(made)
        loaded = AutoTokenizer.from_pretrained(made, local_files_only=True)
        bases.check_config(place, config, len(loaded), context)
        template = bases.adapt_template(place, loaded, bases.read_turns(turns), greedy)
        settings = json.loads((made / bases.TOKENIZER_CONFIG).read_text(encoding="utf-8"))
        settings.pop("chat_template", None)
        settings["pad_token"] = bases.choose_pad(place, loaded)
        # What the template ends a turn with ends generation, whatever llama.cpp knows of its name.
        settings["eot_token"] = Chat(BaseTokenizer(loaded)).end_text
        text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
        (made / bases.TOKENIZER_CONFIG).write_text(text, encoding="utf-8")
        (made / "chat_template.jinja").write_text(template, encoding="utf-8")
        convert(made, made / "tokens.gguf", base, weights=False)
        bases.check_uses(place, folder, targets, quantizations)
        loaded = AutoTokenizer.from_pretrained(made, local_files_only=True)
        with Runtime(made / "tokens.gguf", weights=False) as runtime:
            checked = gates.check(
                f"{place}: chat template and tokens of Transformers against llama.cpp",
                "The agent would meet other tokens than those trained on: llama.cpp converts this "
                "tokenizer otherwise; take another base, or one with its original tokenizer.",
                chat_ids=(bases.differing(loaded, runtime), 0),
                turns_without_end=(int(not runtime.ends(Chat(runtime).end)), 0),
            )
        shutil.copyfile(made / bases.TOKENIZER, tokenizer)
        shutil.copyfile(made / bases.TOKENIZER_CONFIG, tokenizer_config)
        shutil.copyfile(made / "chat_template.jinja", chat_template)
        model = made / "tokenizer.model"
        sentencepiece.write_bytes(model.read_bytes() if model.is_file() else b"")
    gate.write_text(json.dumps(checked, indent=1) + "\n")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(fetch_tokenizer, snakemake)
