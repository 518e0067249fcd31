"""Files of a model from the Hugging Face hub."""

from pathlib import Path

from specialist.core.errors import UserError


def download(place, name, revision, patterns):
    """The folder in the hub's cache that holds files of a model.

    The cache is filled from the network, unless HF_HUB_OFFLINE is set.

    Args:
        place: who asks, for the message.
        name: the model's id.
        revision: its commit, branch or tag.
        patterns: names of the files, with wildcards; those at the top of the model's folder,
            and those in its folders that are not for other runtimes.

    Raises:
        UserError: the model or its revision is neither in the cache nor on the hub.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=["onnx/*", "openvino/*", "original/*", "consolidated*"],
            )
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"{place}: {name}, revision {revision}, is not in the hub's cache and cannot be "
            f"downloaded ({error}); check the name and the revision, and unset HF_HUB_OFFLINE for "
            "the download. If the model has terms of use, accept them on the hub and run "
            "`hf auth login`"
        ) from error
