"""Draws a plot: `python plot.py FILE < JSON`, with matplotlib's own environment, not ours."""

from __future__ import annotations

import json
import sys
from typing import Any

OURS, QUIET = "#d1495b", "#8d99ae"
OTHERS = ("#1b4965", "#62929e", "#c18c5d", "#6d597a", "#588157")


def draw(plot: dict[str, Any], file: str) -> None:
    """Write the plot as SVG, the same bytes for the same numbers."""
    import matplotlib as mpl  # not in our own environment, where tests import this module

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({
        "svg.hashsalt": "opsplay", "svg.fonttype": "none", "font.family": "sans-serif",
        "axes.spines.top": False, "axes.spines.right": False, "font.size": 10,
    })  # fmt: skip
    panels = plot["panels"]
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.2 * len(panels), 3.9), squeeze=False, layout="constrained"
    )
    for one, panel in zip(axes[0], panels, strict=True):
        _panel(one, panel)
    figure.savefig(file, metadata={"Date": None, "Creator": None}, facecolor="white")


def _panel(axes: Any, panel: dict[str, Any]) -> None:
    if panel["names"]:
        _bars(axes, panel)
    else:
        _lines(axes, panel)
    axes.set_title(panel["title"], loc="left", fontsize=10.5)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)


def _bars(axes: Any, panel: dict[str, Any]) -> None:
    """Draw one group for each name, one bar in it for each series; x of a point: which group."""
    others = iter(OTHERS)
    width = 0.8 / len(panel["series"])
    for place, one in enumerate(panel["series"]):
        across = [x + (place + 0.5) * width - 0.4 for x, _ in one["points"]]
        colour = OURS if one["ours"] else next(others)
        up = [y for _, y in one["points"]]
        bars = axes.bar(across, up, width * 0.9, color=colour, label=one["name"])
        short = [f"{y:.1f}" if y < 9.95 else f"{y:.0f}" for y in up]
        axes.bar_label(bars, short, fontsize=6.5)
    axes.set(ylabel=panel["up"])
    axes.set_xticks(range(1, len(panel["names"]) + 1), panel["names"], rotation=30, ha="right")
    axes.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.0), fontsize=9)
    axes.margins(y=0.18)


def _lines(axes: Any, panel: dict[str, Any]) -> None:
    others = iter(OTHERS)
    for one in panel["series"]:
        across, up = zip(*one["points"], strict=True)
        colour = OURS if one["ours"] else QUIET if one["quiet"] else next(others)
        axes.plot(
            across, up, marker="o", markersize=4, color=colour, label=one["name"],
            linewidth=2.6 if one["ours"] else 1.5, linestyle="--" if one["quiet"] else "-",
        )  # fmt: skip
        axes.annotate(
            one["name"], (across[-1], up[-1]), xytext=(6, -3), textcoords="offset points",
            color=colour, weight="bold" if one["ours"] else "normal", annotation_clip=False,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel=panel["across"], ylabel=panel["up"])
    marks = sorted({x for one in panel["series"] for x, _ in one["points"]})
    axes.set_xticks(marks, [f"{mark:,g}".replace(",", "\u202f") for mark in marks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,g}")
    axes.margins(x=0.14)


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
