"""The Modelfile: its template against the reference, over conversations as the agent has them."""

import json
import os
import shutil
import subprocess

import pytest

from modelfiles import go_text, parse
from specialist.core.errors import UserError
from specialist.release import ollama

CALL = 'Thought: look it up\nAction: {"name": "find_order", "arguments": {"order_id": "FD12345"}}'
DONE = 'Thought: that is all\nAnswer: It comes at 7, {{ .Role }} "soon".'
CONVERSATIONS = [
    [("user", "Hi")],
    [("system", "Be kind.\n\n- a\n"), ("user", "Where is FD12345?")],
    [("system", "s"), ("user", "u"), ("assistant", CALL), ("tool", '{"minutes": 7}')],
    [("system", "s"), ("user", "u"), ("assistant", CALL), ("tool", '{"rows": []}'),
     ("assistant", CALL), ("tool", "late.md: 5 %"), ("assistant", DONE), ("user", "Danke, 🍕!"),
     ("assistant", CALL), ("tool", "x")],
]  # fmt: skip
# Templates of chat models, of which the parts for tools' schemas are left out.
LLAMA3 = """{{- bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + ('ipython' if message['role'] == 'tool' else message['role'])
    + '<|end_header_id|>\n\n' + message['content'] + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}"""
MISTRAL = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
{%- set first = messages[0]['content'] %}{%- set messages = messages[1:] %}
{%- endif %}
{%- for message in messages %}
{%- if message['role'] == 'user' %}
{{- '[INST] ' + (first + '\n\n' if first is defined and loop.first else '')
    + message['content'] + '[/INST]' }}
{%- elif message['role'] == 'assistant' %}{{- ' ' + message['content'] + eos_token }}
{%- else %}{{- '[TOOL_RESULTS]' + message['content'] + '[/TOOL_RESULTS]' }}
{%- endif %}
{%- endfor %}"""
GEMMA = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
{%- set first = messages[0]['content'] %}{%- set messages = messages[1:] %}
{%- endif %}
{%- for message in messages %}
{{- '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n'
    + (first + '\n\n' if first is defined and loop.first else '')
    + message['content'] + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\n' }}{% endif %}"""
PHI = """{%- for message in messages %}
{{- '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\n' }}{%- else %}{{- eos_token }}{% endif %}"""
QWEN = """{%- if messages[0]['role'] != 'system' %}
{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message['role'] == 'tool' %}
{%- if loop.index0 == 0 or messages[loop.index0 - 1]['role'] != 'tool' %}
{{- '<|im_start|>user' }}{% endif %}
{{- '\n<tool_response>\n' + message['content'] + '\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1]['role'] != 'tool' %}{{- '<|im_end|>\n' }}{% endif %}
{%- else %}
{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}"""
TEMPLATES = {"llama3": LLAMA3, "mistral": MISTRAL, "gemma": GEMMA, "phi": PHI, "qwen": QWEN}


@pytest.fixture(scope="module")
def templates(resources):
    """The templates by family, the project's own among them."""
    own = (resources / "prompts/chat_template.jinja").read_text()
    return TEMPLATES | {"own": own}


def messages(conversation):
    return [{"role": role, "content": text} for role, text in conversation]


def reference(template):
    """What Transformers writes for a conversation, by its own renderer."""
    from transformers.utils.chat_template_utils import render_jinja_template

    def render(turns):
        texts, _ = render_jinja_template(
            [turns], chat_template=template, add_generation_prompt=True, bos_token="<s>",
            eos_token="</s>",
        )  # fmt: skip
        return texts[0]

    return render


@pytest.mark.parametrize("family", [*TEMPLATES, "own"])
def test_template_writes_what_transformers_writes(templates, family):
    render = reference(templates[family])
    template = ollama.go_template(ollama.edges(render))
    for conversation in map(messages, CONVERSATIONS):
        assert go_text(template, conversation) == render(conversation)


@pytest.mark.skipif(not shutil.which("go"), reason="the go program is not there")
def test_template_in_go(templates, tmp_path):
    """The same by Go's own text/template."""
    (tmp_path / "main.go").write_text("""package main
import ("encoding/json"; "os"; "text/template")
type Message struct { Role, Content string }
func main() {
    var job struct { Template string; Messages []Message }
    if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil { panic(err) }
    made := template.Must(template.New("").Parse(job.Template))
    err := made.Execute(os.Stdout, map[string]any{"Messages": job.Messages})
    if err != nil { panic(err) }
}
""")
    environment = {**os.environ, "GO111MODULE": "off", "GOCACHE": str(tmp_path / "cache")}
    subprocess.run(["go", "build", "main.go"], cwd=tmp_path, check=True, env=environment)
    for source in templates.values():
        render = reference(source)
        template = ollama.go_template(ollama.edges(render))
        for conversation in map(messages, CONVERSATIONS):
            job = json.dumps({"Template": template, "Messages": conversation})
            done = subprocess.run([tmp_path / "main"], input=job, stdout=subprocess.PIPE,
                                  text=True, check=True)  # fmt: skip
            assert done.stdout == render(conversation)


def test_start_token_is_left_to_ollama():
    texts = ollama.edges(reference(LLAMA3), "<s>")
    assert texts["", "system"] == "<|start_header_id|>system<|end_header_id|>\n\n"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ messages[0]['content'] }}{{ messages[-1]['content'] }}", "leaves out"),
        ("{% for m in messages %}{{ loop.index }}{{ m['content'] }}{% endfor %}", "depend only"),
        ("{% for m in messages %}{{ raise_exception('no ' ~ m['role']) }}{% endfor %}", "refuses"),
    ],
)
def test_template_that_ollama_cannot_follow_is_refused(template, said):
    with pytest.raises(UserError, match=said):
        ollama.edges(reference(template))


def test_modelfile(chat_model, resources, tools, tmp_path):
    from write_modelfile import write_modelfile

    made, prompt = tmp_path / "Modelfile", resources / "prompts/react-full.jinja"
    (tmp_path / "tools.yaml").write_text(json.dumps(tools))
    write_modelfile(
        chat_model / "f16.gguf", prompt, tmp_path / "tools.yaml", made,
        search=True, license="mit", context=512, max_new_tokens=64,
    )  # fmt: skip
    found = parse(made.read_text())
    assert ("FROM", "./model.gguf") in found and ("LICENSE", "mit") in found
    parameters = {tuple(value.split(" ", 1)) for name, value in found if name == "PARAMETER"}
    assert {("stop", '"<|im_end|>"'), ("num_ctx", "512"), ("temperature", "0")} <= parameters
    assert "search" in dict(found)["SYSTEM"] and tools[0]["name"] in dict(found)["SYSTEM"]
    template = (chat_model / "chat_template.jinja").read_text()
    turns = messages(CONVERSATIONS[-1])
    assert go_text(dict(found)["TEMPLATE"], turns) == reference(template)(turns)


def test_quotes_that_would_end_a_text_are_refused():
    with pytest.raises(UserError, match="SYSTEM of the Modelfile"):
        ollama.modelfile("model.gguf", "", 'say """', [], "mit")


@pytest.mark.skipif(not shutil.which("ollama"), reason="the ollama program is not there")
def test_ollama_takes_it(chat_model, resources, tmp_path):
    from write_modelfile import write_modelfile

    shutil.copy(chat_model / "f16.gguf", tmp_path / "model.gguf")
    write_modelfile(
        tmp_path / "model.gguf", resources / "prompts/react.jinja", [], tmp_path / "Modelfile",
        search=True, license="mit", context=512, max_new_tokens=8,
    )  # fmt: skip
    name = "specialist-test"
    subprocess.run(["ollama", "create", name, "-f", "Modelfile"], cwd=tmp_path, check=True)
    try:
        done = subprocess.run(["ollama", "run", name, "Hi"], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.strip()
    finally:
        subprocess.run(["ollama", "rm", name], check=False)
