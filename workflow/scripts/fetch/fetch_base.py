"""Takes over the weights of a base."""


def fetch_base(source, tokenizer, model, config, *, base, hub, revision):
    """Put the weights where pretraining would have put them, if they are what config.json says.

    Args:
        source: files of a local folder, or an empty list.
        tokenizer: tokenizer.json of the base, whose checks come first.
        model, config: model.safetensors and config.json, written in one folder. The weights are
            copied, never linked, because they are the user's; shards are joined.
        base: name of the base in the configuration.
        hub, revision: where the base is from if it is no local folder, or None.

    Raises:
        UserError: there are no weights to use; see `specialist.bases.imported`.
    """
    import shutil

    from specialist.bases import imported as bases
    from specialist.core.files import copy
    from specialist.core.model_files import WEIGHT_FILES

    place = f"bases.{base}"
    folder = bases.locate(place, source, hub, revision, WEIGHT_FILES)
    weights = bases.find_weights(place, folder)
    bases.check_weights(place, folder, weights)
    shutil.copyfile(folder / bases.CONFIG, config)
    if len(weights) > 1:
        bases.join(weights, model)
        return
    copy(weights[0], model)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(fetch_base, snakemake)
