"""Sums of the squared inputs of a model's linear layers."""


def squares(model, tokenizer, rows, batch_size):
    """Sum the squares of the inputs of each linear layer over all tokens of conversations.

    Args:
        model: a causal language model of Transformers.
        tokenizer: of Transformers.
        rows: {"messages": [...]}; longer ones are cut to the model's context.
        batch_size: conversations that go through the model together.

    Returns:
        ({name of a linear layer but the head: float64 tensor [inputs]}, number of tokens)
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from specialist.core.prompt import Chat
    from specialist.train.conversations import BaseTokenizer

    chat, head = Chat(BaseTokenizer(tokenizer)), model.get_output_embeddings()
    most = model.config.max_position_embeddings
    coded = sorted((chat.finished(row["messages"])[0][:most] for row in rows), key=len)
    sums, mask = {}, None

    def hook(name):
        def add(_, given):
            own = given[0][mask].float().square().sum(0, dtype=torch.float64)
            sums[name] = sums.get(name, 0) + own

        return add

    hooks = [
        module.register_forward_pre_hook(hook(name))
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    try:
        with torch.inference_mode():
            for start in range(0, len(coded), batch_size):
                parts = [torch.tensor(ids) for ids in coded[start : start + batch_size]]
                ids = pad_sequence(parts, batch_first=True)
                # Padding comes last, where causal attention hides it.
                lengths = torch.tensor([len(part) for part in parts])
                mask = torch.arange(ids.shape[1]) < lengths[:, None]
                model.get_decoder()(input_ids=ids, use_cache=False)
    finally:
        for each in hooks:
            each.remove()
    return sums, sum(map(len, coded))
