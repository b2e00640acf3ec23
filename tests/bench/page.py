"""Writes what was measured into `docs/benchmarks.md`, and the plots beside it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.bench import environments
from tests.bench.outcome import HEADINGS, Outcome, Plot, table

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs/benchmarks.md"
IMAGES = REPOSITORY / "docs/images"


def section(outcome: Outcome) -> str:
    """Return what a benchmark has to say, as Markdown."""
    goals = table(HEADINGS, [goal.row for goal in outcome.goals]) if outcome.goals else ""
    return "\n\n".join(part for part in (goals, outcome.markdown) if part)


def inserted(page: str, name: str, text: str) -> str:
    """Return the page with the text between the marks of a benchmark; a new one goes to its end."""
    marks = re.compile(rf"(<!-- bench {name} -->\n).*?(<!-- /bench {name} -->)", re.DOTALL)
    if not marks.search(page):
        page += f"\n## {name.capitalize()}\n\n<!-- bench {name} -->\n<!-- /bench {name} -->\n"
    return marks.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)


def write(outcome: Outcome, day: str, say: Callable[[str], None]) -> None:
    """Write table and plots of a benchmark into the documentation."""
    pictures = [f"![{plot.shows}](images/{plot.file})" for plot in outcome.plots]
    text = "\n\n".join([section(outcome), *pictures, _where(day)])
    for plot in outcome.plots:
        draw(plot, IMAGES / plot.file, say)
    PAGE.write_text(inserted(PAGE.read_text(), outcome.name, text))
    say(f"{outcome.name}: written into {PAGE.relative_to(REPOSITORY)}")


def draw(plot: Plot, file: Path, say: Callable[[str], None]) -> None:
    """Draw a plot with the plot environment's own Python."""
    python = environments.environment("plot", say) / "python"
    script = Path(__file__).with_name("plot.py")
    told = json.dumps(asdict(plot)).encode()
    subprocess.run([str(python), str(script), str(file)], input=told, check=True)
    file.write_text("\n".join(line.rstrip() for line in file.read_text().splitlines()) + "\n")


def _where(day: str) -> str:
    named = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cpu = named[1] if named else platform.machine()
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, encoding="utf-8", check=True).stderr
    return (
        f"Measured on {day}: {os.cpu_count()} cores ({cpu}), which the tools share with all hosts;"
        f" Python {platform.python_version()}, {ssh.split(',')[0].strip()}."
    )
