"""Sample texts that a model writes during training."""

from specialist.train.pretraining import autocast

TEMPERATURE, DOCUMENT_TOKENS = 0.8, 32


def sample(model, begin, tokens, seed, device):
    """Token ids that a model writes, drawn at random; the same for the same seed.

    The random generator of the training does not change.

    Args:
        begin: token ids that they follow.
        tokens: how many; fewer if the model ends its text.
    """
    import torch

    ids = torch.tensor([begin], device=device)
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(seed)
        written = model.generate(
            # The attention of training knows no cache; see attention.py.
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, use_cache=False,
            do_sample=True, temperature=TEMPERATURE, top_k=0, pad_token_id=0,
        )  # fmt: skip
    return written[0, len(begin) :].tolist()


def document(model, bpe, end, precision, seed, device):
    """A text that a model writes as the beginning of a document.

    Args:
        bpe: of the library tokenizers.
        end: token id that ends a document.
    """
    model.eval()
    with autocast(precision):
        ids = sample(model, [end], DOCUMENT_TOKENS, seed, device)
    model.train()
    return bpe.decode(ids[: (ids + [end]).index(end)]).strip()
