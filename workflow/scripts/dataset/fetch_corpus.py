"""Downloads the text of a dataset, or copies the user's local file."""

TIMEOUT = 30  # seconds without a byte


def fetch_corpus(local, corpus, *, url, sha256):
    """Write a text with a known hash. Write nothing if the content differs.

    Args:
        local: the same file on this machine, used instead of `url`, or an empty list.
        corpus: file to write.
        url: address of the text.
        sha256: SHA-256 of the text, in hexadecimal.

    Raises:
        UserError: the file cannot be downloaded, or has other content.
    """
    import http.client
    import shutil
    from urllib.request import urlopen

    from specialist.core import files
    from specialist.core.errors import UserError

    unfinished = corpus.with_name(f"{corpus.name}.unfinished")
    try:
        with (
            local.open("rb") if local else urlopen(url, timeout=TIMEOUT) as source,
            open(unfinished, "wb") as file,
        ):
            shutil.copyfileobj(source, file)
        if (found := files.sha256(unfinished)) != sha256:
            remedy = (
                "remove `path` to download the file, or name the right file"
                if local
                else "if the file was changed on purpose, read it and set the new `sha256`"
            )
            raise UserError(
                f"{local or url}: found a file of {unfinished.stat().st_size} bytes with the "
                f"SHA-256 {found}, expected {sha256}; {remedy}"
            )
        unfinished.rename(corpus)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"{local or url}: cannot be read ({error}); without a network, copy "
            "the file and name it in the dataset's `corpus: {path: ...}`"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"{corpus}: {corpus.stat().st_size} bytes from {local or url}")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(fetch_corpus, snakemake)
