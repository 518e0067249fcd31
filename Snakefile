# From plain text to a private specialist: results/agent_eval.json.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
# Scripts lie in folders beside the package. Each job's process reads this Snakefile too, so the
# variable reaches scripts on other nodes and in other environments.
SCRIPTS = str(Path(workflow.basedir) / "workflow" / "scripts")
sys.path.insert(0, SCRIPTS)
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [SCRIPTS, os.environ.get("PYTHONPATH")])
)

from specialist.config.experiments import cores, lay_out
from specialist.config.layout import Layout
from specialist.config.load import load
from specialist.engine import internals, job_lock
from specialist.engine.digest import digest, sources
from specialist.engine.forced import VARIABLE, announce
from specialist.engine.lock import hold
from specialist.engine.params import named, one_of
from specialist.preflight.check import enforce

# A mistake of the user, a UserError, is shown as its message alone.
internals.speak_plainly()


configfile: "config/config.yaml"
configfile: "config/paper.yaml"


# What results/agent_eval.json is made from, and the paper's cells beside it.
evaluated = load(config)
config, experiments = lay_out(evaluated)
files, main = Layout(config), Layout(evaluated)

# Reading this file writes nothing, and reads no data. What changed is found out when the jobs of
# the run are known.
internals.compare_contents(workflow)

# What is forced is computed, and not taken from the cache; see specialist/engine/forced.py.
os.environ.setdefault(VARIABLE, "[]")


envvars:
    VARIABLE,


onstart:
    announce(internals.forced_selection(workflow))
    hold(".snakemake/run.lock")
    job_lock.clear()
    if internals.runs_here(workflow):  # nodes of a cluster are other machines
        enforce(config, internals.jobs_to_run(workflow))
        internals.lift_job_rate(workflow)


wildcard_constraints:
    dataset=one_of(config["datasets"]),
    base=one_of(config["bases"]),
    adapter=one_of(config["adapters"]),
    model=one_of([*config["bases"], *config["adapters"]]),
    quantization=one_of(config["quantizations"]),
    index=one_of(config["indexes"]),
    system=one_of(config["systems"]),
    experiment=one_of(experiments),
    shape=one_of(config["shapes"]),


rule all:
    default_target: True
    input:
        "results/agent_eval.json",
        "results/systems.svg",


# What a run with the same options would do, and why: `snakemake --cores 1 plan`.
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
include: "workflow/rules/agent.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/release.smk"
