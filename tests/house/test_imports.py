"""The rooms' walls: what may be imported without what."""

import subprocess
import sys

import pytest

from tests.house.tree import ROOT

IMPORT_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if ".learned" not in found.name:
        importlib.import_module(found.name)
strangers = [name for name in sys.modules if name.split(".")[0] in {"registration", "viewer"}
             and not name.startswith(package.__name__) and name != package.__name__.split(".")[0]]
print(json.dumps(strangers + [name for name in sys.argv[2:] if name in sys.modules]))
"""


@pytest.mark.parametrize("package", ["registration.engine", "viewer.wsi"])
def test_a_pure_package_loads_without_django_torch_or_the_rest_of_its_app(package: str) -> None:
    forbidden = ["django", "rest_framework", "rq", "django_rq", "redis", "torch", "config"]
    command = [sys.executable, "-c", IMPORT_ALL, package, *forbidden]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout.strip()) == (0, "[]"), process.stderr


def test_import_contracts_hold() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout
    assert "0 broken" in process.stdout
