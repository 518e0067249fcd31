"""Trains the tokenizer of a base on its corpus."""

CHECKED = 4_000_000  # bytes of text that are encoded and decoded again
BATCH = 1_000_000  # bytes of text that are encoded at a time

# The pre-tokenizer of Llama 3, which llama.cpp knows as "llama-bpe": a word takes its blank with
# it, and digits fall into groups of up to three wherever they stand, so that an order number or
# a figure is the same tokens in a sentence and in JSON.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(corpus, template, tokenizer, tokenizer_config, chat_template, *, vocab_size):
    """Train byte-level BPE and save it as Transformers reads it, with the chat template.

    A corpus above 100 MB is trained on a sample of its documents; see `specialist.data.sample`.

    Args:
        corpus: JSONL of the training documents, rows with "text" or "messages".
        template: the chat template.
        tokenizer, tokenizer_config, chat_template: the files written, in one folder.
        vocab_size: tokens at most, special tokens and the 256 bytes included.

    Raises:
        UserError: some text does not survive encoding and decoding.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from specialist.core import text as texts
    from specialist.core.scratch import scratch
    from specialist.data.sample import sample

    bpe = Tokenizer(models.BPE(ignore_merges=True))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    source = template.read_text(encoding="utf-8")
    render = texts.chat_renderer(source)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=texts.SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    with scratch(tokenizer) as folder:
        chosen = sample(corpus, folder)
        size = chosen.stat().st_size
        bpe.train_from_iterator(texts.documents(chosen, render), trainer)
        checked = _check(bpe, texts.documents(chosen, render), corpus)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=texts.TURN_END,
        pad_token=texts.PAD,
        # Decoding must give back what was encoded, blanks before a comma included.
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = source
    wrapped.save_pretrained(tokenizer.parent)
    print(
        f"{bpe.get_vocab_size()} tokens from {size / 1e6:.1f} of {corpus.stat().st_size / 1e6:.1f} "
        f"MB, round trip of {checked} documents exact"
    )


def _check(bpe, documents, corpus):
    """Number of documents that were encoded and decoded.

    Raises:
        UserError: one of them does not come back.
    """
    from specialist.core.errors import UserError
    from specialist.core.text import batches

    count, left = 0, CHECKED
    for batch in batches(documents, BATCH):
        ids = [encoded.ids for encoded in bpe.encode_batch_fast(batch)]
        back = bpe.decode_batch(ids, skip_special_tokens=False)
        for document, decoded in zip(batch, back, strict=True):
            if decoded != document:
                raise UserError(f"the tokenizer changes this text of {corpus}: {document[:200]!r}")
        count, left = count + len(batch), left - sum(map(len, batch))
        if left < 0:
            break
    return count


if "snakemake" in globals():
    from specialist.engine.step import run

    run(train_tokenizer, snakemake)
