"""The commands and snippets of the README and the tutorial run as they are written."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """The fenced bash and python blocks of a page, in order."""
    yield from BLOCK.findall(page.read_text(encoding="utf-8"))


def environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ours = {"PATH": path, "PYTHONWARNINGS": "ignore", "COLUMNS": "160"}
    return {name: value for name, value in os.environ.items() if not name.startswith(("PULSE_", "DAGSTER_"))} | ours


def execute(language: str, code: str, folder: Path, extra: dict[str, str]) -> str:
    command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder) | extra, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_runs_as_written(tmp_path: Path) -> None:
    said, extra = "", {"PULSE_START": "2023-06-01"}
    for language, code in blocks(ROOT / "docs" / "tutorial.md"):
        if "export PULSE_CONFIG" in code:
            extra["PULSE_CONFIG"] = str(tmp_path / "pulse.yaml")
        said += execute(language, code, tmp_path, extra)
    assert "exit code 3" in said
    assert "wrong_type" in said
    assert "future_timestamp" in said
    assert "seasonal_naive" in said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_readme_s_snippets_run_after_the_first_run(tmp_path: Path) -> None:
    execute("bash", "pulse run", tmp_path, {})
    said = "".join(execute(language, code, tmp_path, {}) for language, code in blocks(ROOT / "README.md"))
    assert "embedded:AAPL" in said
    assert "seasonal_naive" in said


@pytest.mark.slow
def test_the_how_to_on_files_runs_as_written_and_leaves_only_what_it_names(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "forecast-a-file.md"
    said = "".join(execute(language, code, tmp_path, {}) for language, code in blocks(page))
    assert "one series, time from 'day', values from 'sales', daily" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bakery.csv", "bakery.png", "quantiles.csv"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_how_to_on_simulation_runs_as_written(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "simulate.md"
    said = "".join(execute(language, code, tmp_path, {}) for language, code in blocks(page))
    assert re.search(r"^[0-9a-f]{64}$", said, re.MULTILINE)
    assert "wrote 20 steps to path.csv" in said
    assert "energy_crisis" in said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_how_to_on_trust_runs_as_written(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "trust.md"
    said = "".join(execute(language, code, tmp_path, {}) for language, code in blocks(page))
    assert "the chain vouches for the day" in said
    assert (tmp_path / "jnj.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_how_to_on_models_runs_as_written(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "add-a-model.md"
    said = "".join(execute(language, code, tmp_path, {}) for language, code in blocks(page))
    assert "'name': 'fairs'" in said
    assert "{'name': 'fx_promo', 'weight': None, 'reason': 'ADMITTED'}" in said


def test_every_link_of_the_docs_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())]
    broken = [f"{page.name}: {link}" for page, link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken
