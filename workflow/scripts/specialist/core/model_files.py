"""Names of the files of a model in the form of Transformers."""

CONFIG, TOKENIZER, TOKENIZER_CONFIG = "config.json", "tokenizer.json", "tokenizer_config.json"
# What a base is, but for its weights; the last two may be missing.
SMALL_FILES = [CONFIG, TOKENIZER, TOKENIZER_CONFIG, "chat_template.jinja", "tokenizer.model"]
WEIGHT_FILES = [CONFIG, "*.safetensors", "model.safetensors.index.json"]
