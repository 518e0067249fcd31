"""The benchmark of an index runs, and its table has figures for every step."""

import bench_index


def test_benchmark_of_a_small_index(tmp_path):
    rows = list(bench_index.bench(tmp_path, 120, 8))
    assert [(name, count) for name, count, *_ in rows] == [
        ("chunk", 120), ("embed", 8), ("build", 120), ("search", bench_index.QUERIES),
    ]  # fmt: skip
    assert all(len(row) == 8 and min(row[2:]) > 0 for row in rows)
