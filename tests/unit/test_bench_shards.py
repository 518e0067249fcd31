"""The benchmark of an index in shards runs, goes on where it stopped, and measures every step."""

import time

import bench_shards


def test_benchmark_of_two_small_shards(tmp_path):
    now = time.monotonic()
    assert bench_shards.bench(tmp_path, 300, 2, now - 1) == {}
    found = bench_shards.bench(tmp_path, 300, 2, now + 1e6, queries=30)
    assert {name: len(rows) for name, rows in found.items()} == {
        **dict.fromkeys(bench_shards.STEPS, 2), **dict.fromkeys(bench_shards.WHOLE, 1),
    }  # fmt: skip
    assert all(row["s"] > 0 and row["peak_mb"] > 10 for rows in found.values() for row in rows)
    [query] = found["query"]
    assert query["recall"] == 1 and query["p50_ms"] <= query["p95_ms"]
    begun = time.monotonic()
    assert bench_shards.bench(tmp_path, 300, 2, begun + 1e6, queries=30) == found
    assert time.monotonic() - begun < 1
    lines = list(bench_shards.table(found))
    assert sum(line.startswith("| build | 2 |") for line in lines) == 1
