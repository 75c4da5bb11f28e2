"""Pin what pyproject.toml promises to run with: the lower bound of each requirement, as a line for ``pip install -r``.

``python .ci/floors.py [EXTRA ...]`` prints the floors of the dependencies, and of the extras named.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
# name[extras]>=floor, perhaps with further bounds and a marker behind it
REQUIREMENT = re.compile(r"^(?P<name>[\w.-]+)(\[(?P<extras>[\w,-]+)\])?\s*(>=\s*(?P<floor>[\w.]+))?(?P<rest>.*)$")


def floors(project: dict[str, Any], extras: list[str]) -> list[str]:
    """Pins of the dependencies and of some extras, with those that they include; in order, each once."""
    optional = project["optional-dependencies"]
    unknown = sorted(set(extras) - set(optional))
    if unknown:
        sys.exit(f"no extra {', '.join(unknown)} in {PROJECT.name}; there are {', '.join(optional)}")
    pins: dict[str, str] = {}
    for requirement in [*project["dependencies"], *(one for extra in extras for one in optional[extra])]:
        found = REQUIREMENT.match(requirement)
        if found is None:
            sys.exit(f"cannot read the requirement {requirement!r}")
        if found["name"] == project["name"]:
            included = floors(project, (found["extras"] or "").split(","))
            pins.update(dict.fromkeys(included, requirement))
        elif found["floor"] is None:
            sys.exit(f"{requirement!r} has no lower bound; give the oldest version that is known to work")
        else:
            marker = found["rest"].partition(";")[2]
            pins[f"{found['name']}=={found['floor']}" + (f" ; {marker.strip()}" if marker else "")] = requirement
    return list(pins)


def main() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    print("\n".join(floors(project, sys.argv[1:])))


if __name__ == "__main__":
    main()
