"""Trains the tokenizer of a base on its corpus."""

# The pre-tokenizer of Llama 3, which llama.cpp knows as "llama-bpe": a word takes its blank with
# it, and digits fall into groups of up to three wherever they stand, so that an order number or
# a figure is the same tokens in a sentence and in JSON.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(corpus, template, tokenizer, tokenizer_config, chat_template, *, vocab_size):
    """Train byte-level BPE and save it as Transformers reads it, with the chat template.

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
    from specialist.core.errors import UserError

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
    documents = [texts.document_text(row, render) for row in texts.read_rows(corpus)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=texts.SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(documents, trainer)
    for document, encoded in zip(documents, bpe.encode_batch(documents), strict=True):
        if bpe.decode(encoded.ids, skip_special_tokens=False) != document:
            raise UserError(f"the tokenizer changes this text of {corpus}: {document[:200]!r}")
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=texts.TURN_END,
        pad_token=texts.PAD,
        # Decoding must give back what was encoded, blanks before a comma included.
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = source
    wrapped.save_pretrained(tokenizer.parent)
    print(f"{bpe.get_vocab_size()} tokens from {len(documents)} documents, round trip exact")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(train_tokenizer, snakemake)
