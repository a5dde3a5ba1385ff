"""Print the requirements of pyproject.toml, one a line: what building, running, testing and checking need.

pip cannot install a project's dependencies without building the project, and our build is in place.
"""

import sys
import tomllib


def requirements(path: str) -> list[str]:
    """Build requirements, dependencies and every extra; references of the project to itself are left out."""
    with open(path, "rb") as file:
        data = tomllib.load(file)
    project = data["project"]
    found = [*data["build-system"]["requires"], *project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        found += [line for line in extra if not line.startswith(project["name"] + "[")]
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
