"""Compares the importance matrix of a model with that of llama.cpp's own tool.

    python tests/bench_imatrix.py path/to/llama-imatrix --model smollm2-lora

after a run with a type in `_IMATRIX`. Both matrices are measured on the same conversations and the
same F16 GGUF; the file is then quantised with each, and without any. llama.cpp's tool is its cmake
target `llama-imatrix`. It reads the conversations as one text in chunks of 512 tokens; the workflow
reads each on its own. So the figures are alike, but not the same.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "workflow/scripts/gguf")]
CHUNK = 512


def text_of(dataset, base):
    """The conversations that measure_importance reads, in the words of the chat template."""
    from measure_importance import CONVERSATIONS, SEED

    from specialist.core.text import chat_renderer, special_tokens
    from specialist.train.conversations import draw, with_system_prompt

    tokenizer, prepared = dataset / "base" / base / "tokenizer", dataset / "prepared"
    prompt = (prepared / "system_prompt.txt").read_text(encoding="utf-8")
    rows = with_system_prompt(prepared / "sft.train.jsonl", prompt)
    tokens = special_tokens(tokenizer / "tokenizer_config.json")
    render = chat_renderer((tokenizer / "chat_template.jinja").read_text(encoding="utf-8"), tokens)
    drawn = draw(len(rows), min(CONVERSATIONS, len(rows)), SEED)
    return "".join(render(rows[i]["messages"]) for i in drawn)


def correlations(ours, theirs):
    """Correlation of each tensor's importances, of their logarithms: {name: r}."""
    import numpy as np

    if ours.keys() != theirs.keys():
        sys.exit(f"the matrices name other tensors: {sorted(ours.keys() ^ theirs.keys())}")
    return {
        name: float(np.corrcoef(*(np.log(each[name] + 1e-12) for each in (ours, theirs)))[0, 1])
        for name in ours
    }


def divergence(f16, matrix, text, kind, tokens, folder, threads):
    """KL of F16 from a file that is quantised with a matrix, in nats per token."""
    from measure_gguf import measure_gguf
    from quantize import quantize

    out, measures = folder / "out.gguf", folder / "measures.json"
    settings = SimpleNamespace(type=kind, strict=False)
    quantize(f16, matrix, out, settings=settings, threads=threads)
    measure_gguf(f16, out, [], text, measures, tokens=tokens, rounds=1, threads=threads)
    return json.loads(measures.read_text())["kl_mean"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tool", help="llama.cpp's program llama-imatrix")
    parser.add_argument("--dataset", type=Path, default=Path("results/food-delivery"))
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--model", default="smollm2-lora", help="its base or an adapter on it")
    parser.add_argument("--type", default="Q4_K_M")
    parser.add_argument("--tokens", type=int, default=4096, help="of held-out text, for the KL")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()

    import numpy as np

    from specialist.gguf import imatrix

    made = given.dataset / "gguf" / given.model
    f16, own, held_out = (made / name for name in ("F16.gguf", "imatrix.gguf", "held_out.jsonl"))
    with tempfile.TemporaryDirectory() as folder:
        text, theirs = Path(folder, "text.txt"), Path(folder, "theirs.gguf")
        text.write_text(text_of(given.dataset, given.base), encoding="utf-8")
        command = [given.tool, "-m", f16, "-f", text, "-o", theirs, "-c", CHUNK, "-b", CHUNK,
                   "-t", given.threads, "--parse-special", "--no-ppl"]  # fmt: skip
        subprocess.run([*map(str, command)], check=True)
        found = correlations(imatrix.read(own), imatrix.read(theirs))
        values = np.array(sorted(found.values()))
        print(f"{len(found)} tensors; correlation: least {values[0]:.4f} "
              f"({min(found, key=found.get)}), median {np.median(values):.4f}")  # fmt: skip
        for name, matrix in (("none", []), ("ours", own), ("llama.cpp's", theirs)):
            kl = divergence(
                f16, matrix, held_out, given.type, given.tokens, Path(folder), given.threads
            )
            print(f"{given.type}, matrix: {name}: KL {kl:.5f}")


if __name__ == "__main__":
    main()
