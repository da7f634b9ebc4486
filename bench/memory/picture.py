"""The resident set over time as a picture (SVG): one panel below the other."""

import math
from html import escape
from typing import Any, Dict, List

WIDTH, HEIGHT = 800, 260
# Around the lines of a panel.
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 45
# At most, in each direction, beside the one at 0.
GRID = 5
STYLE = ("text { font: 12px sans-serif; fill: #333 } .title { font-size: 14px; font-weight: bold } .right { text-anchor: end } "
         ".middle { text-anchor: middle } .grid { stroke: #ddd } .allowed { stroke: #b00; stroke-dasharray: 6 4 } "
         ".seen { fill: none; stroke: #06c; stroke-width: 1.5 }")


def svg(cases: Dict[str, Dict[str, Any]]) -> str:
    """Of cases of memory.json, by their titles."""
    height = HEIGHT * len(cases)
    panels = [line for at, (title, case) in enumerate(cases.items()) for line in panel(title, case, HEIGHT * at)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>", f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *panels, "</svg>", ""])


def panel(title: str, case: Dict[str, Any], top: int) -> List[str]:
    """Both axes begin at 0, and what is allowed is in it: a line is flat where it looks flat."""
    whole = [(seen["s"], seen["engine_mib"] + seen["supervisor_mib"]) for seen in case["over_time"]]
    seconds = max([1.0, *(s for s, _ in whole)])
    most = 1.05 * max([case["budget_mib"], *(mib for _, mib in whole)])

    def x(s: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * s / seconds, 1)

    def y(mib: float) -> float:
        return round(top + HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * mib / most, 1)

    lines = [f'<text class="title" x="{LEFT}" y="{top + 22}">{escape(title)}</text>']
    for mib in grid(most):
        lines += [f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(mib)}" y2="{y(mib)}"/>',
                  f'<text class="right" x="{LEFT - 6}" y="{y(mib) + 4}">{mib:,.0f} MiB</text>']
    lines += [f'<text class="middle" x="{x(s)}" y="{y(0) + 18}">{s:,.10g}</text>' for s in grid(seconds)]
    allowed, points = y(case["budget_mib"]), " ".join(f"{x(s)},{y(mib)}" for s, mib in whole)
    return [*lines,
            f'<text class="middle" x="{(LEFT + WIDTH - RIGHT) // 2}" y="{y(0) + 36}">seconds</text>',
            f'<line class="allowed" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{allowed}" y2="{allowed}"/>',
            f'<text class="right" x="{WIDTH - RIGHT - 4}" y="{allowed + 16}">allowed: {case["budget_mib"]:,.0f} MiB</text>',
            f'<polyline class="seen" points="{points}"/>']


def grid(most: float) -> List[float]:
    """From 0 on, by 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(most / GRID))
    step = next(power * times for times in (1, 2, 5, 10) if most / (power * times) <= GRID)
    return [step * at for at in range(int(most / step) + 1)]
