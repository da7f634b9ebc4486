"""Two fields fused by the threshold algorithm against one joint field, over inverted lists, at equal recall."""

from typing import Any, Callable, Dict, List, Set

import data as rows
import numpy as np
from engines import SIDES, Gateway

NLIST = 128
EFFORTS = (2, 4, 8, 16, 32, 64, 128)
ALPHAS = (0.1, 0.5, 0.9)
TOP_K = 10


def compare(address: str, both: str, joint: str, data: rows.Data, timed: Callable[..., Any]) -> Dict[str, Any]:
    """Recall and median time of both ways for each effort, and what each needs for a recall of 0.95 and 0.99."""
    best = [set(rows.brute_force(data, query, alpha_of(query), TOP_K).tolist()) for query in range(len(data.query_image))]
    ways: Dict[str, List[Dict[str, float]]] = {"two_fields": [], "joint_field": []}
    for effort in EFFORTS:
        for way, collection in (("two_fields", both), ("joint_field", joint)):
            ways[way].append({"effort": effort, **measure(Gateway(address, collection, effort), way, data, best, timed)})
    reached = {f"{way}_ms_at_recall_{target}": at_recall(measured, target)
               for way, measured in ways.items() for target in (0.95, 0.99)}
    return {**ways, **reached}


def alpha_of(query: int) -> float:
    return ALPHAS[query % len(ALPHAS)]


def measure(gateway: Gateway, way: str, data: rows.Data, best: List[Set[int]], timed: Callable[..., Any]) -> Dict[str, float]:
    times: List[float] = []
    recalls: List[float] = []
    for query, right in enumerate(best):
        alpha = alpha_of(query)
        image, text = data.query_image[query], data.query_text[query]
        if way == "two_fields":
            legs = [(SIDES[0], alpha, image), (SIDES[1], 1 - alpha, text)]
        else:
            legs = [(SIDES[0], 1.0, np.concatenate([alpha * image, (1 - alpha) * text]))]
        request = gateway.request(legs, TOP_K, ("key",))
        answer = timed(times, lambda: gateway.ask(request))
        recalls.append(len(right & set(gateway.keys(answer))) / TOP_K)
    return {"recall_at_10": round(float(np.mean(recalls)), 4), "p50_ms": round(float(np.median(times)), 3)}


def at_recall(measured: List[Dict[str, float]], target: float) -> float:
    """The least time that reached the recall; -1 where none did."""
    reached = [entry["p50_ms"] for entry in measured if entry["recall_at_10"] >= target]
    return min(reached) if reached else -1.0
