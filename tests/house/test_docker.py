"""Dockerfile and compose.yaml without a Docker engine: every step is carried out in an empty folder."""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from tests.house.dockerfile import Image, Step, steps_of
from tests.house.tree import ROOT, tracked
from tests.processes import ManagedProcess, wait_until

OWN = ("migrate", "web", "worker", "reaper")
BUILT_FROM = ("${SLIDEPAIR", "${POSTGRES", "${SLIDES", "${PORT")


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return steps_of((ROOT / "Dockerfile").read_text())


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clean checkout would send to the build."""
    folder = tmp_path_factory.mktemp("context")
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def image(steps: list[Step], context: Path) -> Iterator[Image]:
    """The Dockerfile's result; its path is short because sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="image-") as root:
        built = Image(context, Path(root))
        built.build(steps)
        yield built


@pytest.mark.slow
def test_the_command_answers_health_and_the_health_check_agrees(image: Image, tmp_path: Path) -> None:
    port = str(_free_port())
    command = [word.replace("8000", port) for word in image.command]
    folder = image.place(".")
    process = ManagedProcess(command, tmp_path / "log", image.environment(), folder)
    try:
        process.wait_for_output("SlidePair is ready")
        probe = [word.replace("8000", port) for word in image.probe]
        wait_until(lambda: subprocess.run(probe, cwd=folder, check=False).returncode == 0, "the health check")
    finally:
        process.stop()


@pytest.mark.slow
def test_the_command_writes_only_to_the_volume(image: Image) -> None:
    made = {path.name for path in image.place(".").iterdir()}
    expected = {name.parts[0] for name in tracked()} | {".venv", "node_modules"}
    assert made - expected == set()


def test_the_image_needs_no_debian_package(steps: list[Step]) -> None:
    assert [step for step in steps if step.word == "RUN" and "apt" in step.text] == []


def test_what_is_copied_is_sent_to_the_build(steps: list[Step]) -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for step in steps if step.word == "COPY" for source in step.words[:-1]}
    assert copied == sent


def test_hadolint_has_no_complaint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_compose_has_the_services_with_health_and_order(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services.keys() == {*OWN, "postgres", "redis"}
    for name in OWN:
        for other, wish in services[name]["depends_on"].items():
            one_shot = wish["condition"] == "service_completed_successfully"
            assert one_shot == (other == "migrate")
            assert one_shot or "test" in services[other]["healthcheck"]
    for name in ("web", "worker", "reaper"):
        assert services[name]["depends_on"].keys() == {"migrate", "redis"}
        assert "data:/data" in services[name]["volumes"]
    volumes = [volume.split(":")[0] for service in services.values() for volume in service["volumes"]]
    assert {name for name in volumes if not name.startswith("$")} == compose["volumes"].keys()


@pytest.mark.parametrize("service", OWN)
def test_each_compose_command_is_one_of_manage_py_with_arguments_it_takes(
    compose: dict[str, Any], service: str
) -> None:
    python, manage, name, *arguments = compose["services"][service]["command"]
    assert (python, manage) == (".venv/bin/python", "manage.py")
    application = get_commands()[name]
    command = load_command_class(application, name) if isinstance(application, str) else application
    command.create_parser("manage.py", name).parse_args(arguments)


def test_compose_sets_only_variables_that_the_settings_read(compose: dict[str, Any]) -> None:
    settings = (ROOT / "config" / "settings.py").read_text()
    for service in OWN:
        unknown = [
            name for name in compose["services"][service]["environment"] if f'"{name}"' not in settings
        ]
        assert unknown == ["PGPASSWORD"]  # read by PostgreSQL's client


def test_compose_holds_no_secret_and_says_which_are_missing(compose: dict[str, Any]) -> None:
    environment = compose["services"]["web"]["environment"]
    assert environment["SLIDEPAIR_SECRET_KEY"].startswith("${SLIDEPAIR_SECRET_KEY:?")
    assert environment["PGPASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith(
        "${POSTGRES_PASSWORD:?"
    )
    text = (ROOT / "compose.yaml").read_text()
    assert all(match.startswith(BUILT_FROM) for match in re.findall(r"\$\{\w+", text))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
