# From plain text to a private specialist: results/agent_eval.json.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
SCRIPTS = str(Path(workflow.basedir) / "workflow" / "scripts")
sys.path.insert(0, SCRIPTS)

from specialist.config.experiments import cores, lay_out
from specialist.config.files import read
from specialist.config.load import load
from specialist.config.params import resolver
from specialist.config.paths import Paths
from specialist.config.paths.parts import PROMPTS
from specialist.config.settings.adapters import Batches, DpoTraining, LoraTraining
from specialist.config.settings.bases import (
    FurtherPretraining,
    HubModel,
    Pretraining,
    in_gguf,
)
from specialist.config.settings.datasets import Corpus
from specialist.config.settings.fields import NAME, llama_type
from specialist.config.settings.synthesis import Asking, Writing
from specialist.config.settings.systems import (
    AgentLimits,
    Chunking,
    Declining,
    Generation,
    Retrieval,
)
from specialist.engine import internals, job_lock, mirror, tracking
from specialist.engine.digest import digest, digest_once, known, sources
from specialist.engine.forced import VARIABLE, announce
from specialist.engine.lock import hold
from specialist.preflight.check import enforce
from specialist.preflight.requests import Requests

internals.let_scripts_import(SCRIPTS)
# Show a UserError as its message alone, without a traceback.
internals.speak_plainly()

if not internals.read_configfiles_by(
    read
):  # no profile did this, so Snakemake has read these files already
    for path in workflow.overwrite_configfiles:
        read(path)


configfile: "config/config.yaml"
configfile: "config/paper.yaml"


# The configuration of the main run, then the same with the paper's cells.
evaluated = load(config)
config, experiments = lay_out(evaluated)
files, main = Paths(config, evaluated=evaluated), Paths(evaluated)
settings = resolver(config)  # what steps receive, for `params: settings=settings(...)`
all_cores = internals.cores(workflow)
requests = Requests(config, all_cores)
needs = requests.of  # what jobs ask a scheduler for, for `resources: **needs(...)`

# Reading this file writes nothing and reads no data. Changed contents are found once the jobs of
# the run are known.
internals.compare_contents(workflow)
# Data is checked before any training, also where many jobs run side by side.
internals.check_first(
    workflow, {"pretrain", "continue_pretraining", "train_lora", "train_dpo"}
)
mirror.set_up(workflow)

# Forced jobs compute; they take nothing from the cache. See specialist/engine/forced.py.
os.environ.setdefault(VARIABLE, "[]")


envvars:
    VARIABLE,
    internals.CORES,


onstart:
    announce(internals.forced_selection(workflow))
    hold(".snakemake/run.lock")
    job_lock.clear()
    known().save()
    tracking.check(config["tracking"])
    if internals.runs_here(workflow):  # nodes of a cluster are other machines
        enforce(config, internals.jobs_to_run(workflow))
        internals.lift_job_rate(workflow)


# A pattern of all names would be slow for thousands of adapters and systems. Their rules look up
# each name, and suggest the nearest name for an unknown one.
wildcard_constraints:
    dataset="|".join(config["datasets"]),
    base="|".join(config["bases"]),
    adapter=NAME,
    model=NAME,
    quantization="|".join(config["quantizations"]),
    index="|".join(config["indexes"]),
    system=NAME,
    experiment="|".join(experiments),
    shape="|".join(config["shapes"]),


rule all:
    default_target: True
    input:
        "results/agent_eval.json",
        "results/systems.svg",
        "results/report.html",


# Shows what a run with the same options would do, and why: `snakemake --cores 1 plan`.
rule plan:
    log:
        "results/logs/plan.log",
    localrule: True
    params:
        command=[sys.executable, "workflow/scripts/show_plan.py"],
        options=[word for word in sys.argv[1:] if word != "plan"],
    shell:
        "{params.command:q} {params.options:q} | tee {log}"


include: "workflow/rules/dataset.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/adapt.smk"
include: "workflow/rules/gguf.smk"
include: "workflow/rules/index.smk"
include: "workflow/rules/synthesize.smk"
include: "workflow/rules/agent.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/release.smk"
