"""The workflows run what `.ci/run` runs: targets and scripts that exist, and actions that nobody can change."""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

yaml = pytest.importorskip("ruamel.yaml")

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="the tests of a wheel have no workflows")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.YAML(typ="safe").load(ROOT / ".github" / name)
    return found


def released() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ringback_release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_the_five() -> None:
    assert [each.stem for each in WORKFLOWS] == ["ci", "docs", "release", "security", "weekly"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)
def test_an_action_is_named_by_its_whole_sha(workflow: Path) -> None:
    """With the version for a person behind it, and by one SHA for each action in all workflows."""
    used = re.findall(r"uses: (.*)", workflow.read_text("utf-8"))
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []
    everywhere = {each for file in WORKFLOWS for each in re.findall(r"uses: (.*)", file.read_text("utf-8"))}
    assert len(everywhere) == len({each.partition("@")[0] for each in everywhere})


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)
def test_a_step_runs_what_exists(workflow: Path) -> None:
    """A target of the Makefile, or a script of .ci/ that may be run."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    jobs = read(f"workflows/{workflow.name}")["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    named = [each for step in steps for each in re.findall(r"^make (?:--jobs 2 )?([a-z-]+)", step)]
    named += [each for job in jobs.values() for each in job.get("strategy", {}).get("matrix", {}).get("target", ())]
    assert [each for each in named if each not in targets] == []
    assert [
        each for step in steps for each in re.findall(r"^\.ci/\w+", step) if not os.access(ROOT / each, os.X_OK)
    ] == []


def test_every_python_of_the_classifiers_is_tested() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    promised = {each.rpartition(" ")[2] for each in classifiers if re.search(r"Python :: \d+\.\d+$", each)}
    tested = read("workflows/ci.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert promised <= set(tested)


def test_the_required_check_waits_for_every_job() -> None:
    jobs = read("workflows/ci.yml")["jobs"]
    assert set(jobs["required"]["needs"]) == set(jobs) - {"required"}
    assert jobs["required"]["if"] == "always()"


def test_dependabot_watches_folders_that_are_there() -> None:
    places = [each["directory"] for each in read("dependabot.yml")["updates"]]
    assert [each for each in places if not (ROOT / each.strip("/")).is_dir()] == []


def test_the_parts_of_the_suite_exist() -> None:
    text = (ROOT / ".ci" / "suites").read_text("utf-8")
    assert [each for each in re.findall(r"\btests/[\w./]+", text) if not (ROOT / each).exists()] == []


def test_a_release_has_the_tag_of_its_version_and_a_day() -> None:
    faults = released().faults
    project = '[project]\nversion = "1.2.0"\n'
    changelog = "# Changelog\n\n## 1.2.0 (2026-01-15)\n\n## 1.1.0 (2025-01-15)\n"
    assert faults("v1.2.0", project, changelog) == []
    assert faults("v1.2.1", project, changelog) == [
        "the tag is 'v1.2.1', and pyproject.toml has the version 1.2.0; tag v1.2.0"
    ]
    day = "CHANGELOG.md does not begin with a heading such as '## 1.2.0 (2026-01-15)'; write the day"
    assert faults("v1.2.0", project, changelog.replace("2026-01-15", "unreleased")) == [day]
    assert faults("v1.2.0", project, "# Changelog\n") == [day]
