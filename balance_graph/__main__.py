"""``python -m balance_graph``: the command line."""

from balance_graph.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
