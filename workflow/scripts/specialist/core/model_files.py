"""Names of the files of a model in the Transformers format."""

CONFIG, TOKENIZER, TOKENIZER_CONFIG = "config.json", "tokenizer.json", "tokenizer_config.json"
TEMPLATE, OTHER_TEMPLATES = "chat_template.jinja", "additional_chat_templates/*.jinja"
INDEX = "model.safetensors.index.json"  # which shard holds which tensor
# The files of a base without its weights; the last three may be missing.
SMALL_FILES = [CONFIG, TOKENIZER, TOKENIZER_CONFIG, TEMPLATE, "tokenizer.model", OTHER_TEMPLATES]
WEIGHT_FILES = [CONFIG, "*.safetensors", INDEX]
