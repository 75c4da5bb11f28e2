"""Networks whose edges do not fit in memory. Needs dask and pyarrow: ``pip install "balance-graph[dask]"``.

`BalanceProblem` is here what ``dask.dataframe.DataFrame`` is beside that of pandas: the same problem, its edges in
partitions that are read anew in each pass. `solve` and `certify` take it.
"""

from balance_graph._optional import import_optional

for _package in ("dask", "pandas", "pyarrow"):
    import_optional(_package, extra="dask", purpose="balance_graph.partitioned")

from balance_graph.partitioned.problem import BalanceProblem  # noqa: E402

del import_optional

__all__ = ["BalanceProblem"]
