"""The tiny project with its results in the bucket of a local S3 server."""

import logging

import boto3
import pytest
from moto.server import ThreadedMotoServer

from project import TINY, Project
from specialist.engine import verify

KEY = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "tests", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "tests"}
BUCKET, PREFIX = "specialist", "run"
TARGET = "results/food-delivery/base/small/tokens/stats.json"
JOBS = {"simulate_corpus", "prepare_corpus", "train_tokenizer small", "tokenize_corpus small"}


@pytest.fixture(scope="module")
def bucket():
    """The bucket of a running server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it reports each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    address, port = server.get_host_and_port()
    url = f"http://{address}:{port}"
    store = boto3.resource(
        "s3", endpoint_url=url, aws_access_key_id="tests", aws_secret_access_key="tests",
        region_name="us-east-1",
    )  # fmt: skip
    found = store.create_bucket(Bucket=BUCKET)
    found.url = url
    yield found
    server.stop()


def project(folder, bucket):
    """A project that has not run, and the options that put its results into the bucket."""
    made = Project.new(folder, TINY)
    made.env = KEY
    options = (
        TARGET, "--default-storage-provider", "s3", "--default-storage-prefix",
        f"s3://{BUCKET}/{PREFIX}", "--storage-s3-endpoint-url", bucket.url,
    )  # fmt: skip
    return made, options


@pytest.fixture(scope="module")
def ran(bucket, tmp_path_factory):
    made, options = project(tmp_path_factory.mktemp("storage") / "project", bucket)
    assert made.run(*options) == JOBS
    return made


def test_results_are_in_the_bucket_alone(bucket, ran):
    keys = {entry.key.removeprefix(f"{PREFIX}/") for entry in bucket.objects.all()}
    assert {TARGET, "results/logs/food-delivery/prepare_corpus.log"} <= keys
    assert sum(key.endswith(".provenance.json") for key in keys) == len(JOBS)
    assert not (ran.folder / "results").exists()


def test_downloaded_results_can_be_verified(bucket, ran, tmp_path, monkeypatch):
    """Records name files as in a run without storage."""
    for entry in bucket.objects.all():
        path = tmp_path / entry.key.removeprefix(f"{PREFIX}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        bucket.download_file(entry.key, str(path))
    (tmp_path / "resources").symlink_to(ran.folder / "resources")
    monkeypatch.chdir(tmp_path)
    chain = verify.follow("results/food-delivery/base/small/tokens/train.npy")
    assert len(chain.steps) == len(JOBS) and not chain.problems and not chain.since


def test_another_folder_repeats_only_what_changed(bucket, ran, tmp_path):
    """Times say nothing: all files of the other folder are newer than the results."""
    other, options = project(tmp_path / "project", bucket)
    for path in other.folder.rglob("*"):
        path.touch()
    assert other.planned(*options) == set()
    changed = other.overlay(bases={"small": {"vocab_size": 801}})
    assert changed.planned(*options) == {"train_tokenizer small", "tokenize_corpus small"}
    changed.edit("resources/datasets/food-delivery/handbook/late.md", "# ", "# Very ")
    assert changed.planned(*options) == JOBS
