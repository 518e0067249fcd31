"""Imports the weights of a base."""


def fetch_base(source, tokenizer, model, config, *, base, hub, revision):
    """Copy the weights to the path of a pretrained base, after checking them against config.json.

    Args:
        source: files of a local folder, or an empty list.
        tokenizer: tokenizer.json of the base, whose checks come first.
        model, config: model.safetensors and config.json, written in one folder. The weights are
            copied, never linked, because they are the user's; shards are joined.
        base: name of the base in the configuration.
        hub, revision: source of the base if it is not a local folder, or None.

    Raises:
        UserError: there are no weights to use; see `specialist.bases`.
    """
    import json
    import shutil

    from specialist.bases.locate import check_config_file, locate
    from specialist.bases.weights import check_weights, find_weights, join
    from specialist.core.files import copy
    from specialist.core.model_files import CONFIG, WEIGHT_FILES

    place = f"bases.{base}"
    folder = locate(place, source, hub, revision, WEIGHT_FILES)
    settings = check_config_file(place, folder)
    weights = find_weights(place, folder)
    check_weights(place, folder, weights)
    if settings.pop("auto_map", None):  # later steps must not look for the model's code
        config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    else:
        shutil.copyfile(folder / CONFIG, config)
    if len(weights) > 1:
        join(weights, model)
        return
    copy(weights[0], model)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(fetch_base, snakemake)
