"""A Dockerfile's steps carried out without Docker: absolute paths are moved under a prefix."""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Step:
    word: str
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments, whether written as JSON or as shell words."""
        return list(json.loads(self.text)) if self.text.startswith("[") else shlex.split(self.text)


def steps_of(dockerfile: str) -> list[Step]:
    """Comments and line continuations removed."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines()]


@dataclass
class Image:
    """What has been built so far. `context` is the folder that COPY takes from, `root` stands for /."""

    context: Path
    root: Path
    folder: Path = Path("/")
    variables: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    probe: list[str] = field(default_factory=list)

    def place(self, path: str) -> Path:
        return self.root / (self.folder / path).relative_to("/")

    def translated(self, text: str) -> str:
        """Absolute paths that exist under the prefix, or are made there, point into it."""
        return re.sub(r"(?<![\w./:])/(?:app|data)\b", lambda match: f"{self.root}{match.group()}", text)

    def build(self, steps: list[Step]) -> None:
        for step in steps:
            getattr(self, f"do_{step.word.lower()}")(step)

    def do_from(self, step: Step) -> None:
        assert re.fullmatch(r"python:3\.1[1-9]-slim-\w+", step.text), step.text

    def do_workdir(self, step: Step) -> None:
        self.folder = Path(step.text)
        self.place(".").mkdir(parents=True)

    def do_copy(self, step: Step) -> None:
        *sources, target = step.words
        for source in sources:
            self._copy(self.context / source, self.place(target), into=target.endswith("/"))

    def _copy(self, source: Path, target: Path, *, into: bool) -> None:
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=ignored)
            return
        target = target / source.name if into else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def do_run(self, step: Step) -> None:
        command = ["sh", "-c", self.translated(step.text)]
        subprocess.run(command, cwd=self.place("."), env=self.environment(), check=True)

    def do_env(self, step: Step) -> None:
        pairs = (word.split("=", 1) for word in step.words)
        self.variables |= {name: self.translated(value) for name, value in pairs}

    def do_volume(self, step: Step) -> None:
        assert self.place(step.text).is_dir()

    def do_user(self, step: Step) -> None:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", step.text), "a numeric user other than root"

    def do_expose(self, step: Step) -> None:
        assert step.text.isdigit()

    def do_healthcheck(self, step: Step) -> None:
        self.probe = json.loads(step.text.partition("CMD ")[2])

    def do_cmd(self, step: Step) -> None:
        self.command = step.words

    def environment(self) -> dict[str, str]:
        """The image's variables over the PATH, proxy, certificate and index settings of this machine."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME"}
            or name.upper().startswith(("PIP_", "SSL_", "NODE_EXTRA", "NPM_"))
            or name.lower().endswith("_proxy")
        }
        return kept | self.variables
