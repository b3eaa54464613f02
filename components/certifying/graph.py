"""The chain as a graph: where each link is drawn, and what rests on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lineage.link import Link

_PLACES = {  # column, row
    "live server": (0, 0), "serving configuration": (1, 0), "model store": (2, 0),
    "provenance": (3, 0), "signature": (4, 0), "ledger": (5, 0),
    "MLflow registry": (0, 1), "MLflow model": (1, 1), "training run": (2, 1),
    "git commit": (3, 1), "infra validation": (4, 1), "ledger head": (5, 1),
    "data version": (0, 2), "requirements": (1, 2), "recipe": (2, 2), "dvc.lock": (3, 2),
    "verdict": (4, 2), "git tag": (5, 2),
    "data bytes": (0, 3), "deliveries and splits": (1, 3), "code": (2, 3), "validation": (3, 3),
    "evaluation": (4, 3), "approvals": (5, 3),
    "working tree": (5, 4),
}  # fmt: skip
_RESTS_ON = (
    ("live server", "serving configuration"),
    ("serving configuration", "model store"),
    ("serving configuration", "MLflow registry"),
    ("model store", "provenance"),
    ("provenance", "signature"),
    ("signature", "ledger"),
    ("ledger head", "ledger"),
    ("git tag", "ledger head"),
    ("MLflow registry", "MLflow model"),
    ("MLflow model", "training run"),
    ("provenance", "training run"),
    ("provenance", "git commit"),
    ("provenance", "infra validation"),
    ("git commit", "dvc.lock"),
    ("git commit", "recipe"),
    ("git commit", "requirements"),
    ("git commit", "data version"),
    ("data version", "data bytes"),
    ("data version", "deliveries and splits"),
    ("infra validation", "verdict"),
    ("verdict", "evaluation"),
    ("verdict", "approvals"),
    ("dvc.lock", "code"),
    ("dvc.lock", "evaluation"),
    ("dvc.lock", "validation"),
)
WIDTH, HEIGHT = 160, 46  # of a node
_ACROSS, _DOWN, _COLUMNS = 174, 82, 6


@dataclass(frozen=True)
class Node:
    """A link in the graph.

    Attributes:
        name: Of the link.
        x, y: Its upper left corner.
        link: What was found; None where it was not asked for.
        number: Of the link in the table.
    """

    name: str
    x: int
    y: int
    link: Link | None
    number: int


@dataclass(frozen=True)
class Graph:
    """What is drawn.

    Attributes:
        nodes: The links.
        edges: SVG paths, each from a link to what it rests on.
        width, height: Of all.
    """

    nodes: Sequence[Node]
    edges: Sequence[str]
    width: int
    height: int


def draw(links: Sequence[Link]) -> Graph:
    """Returns the graph of an audit's links; one that has no place stands in a row of its own."""
    found = {link.name: (number, link) for number, link in enumerate(links, 1)}
    rows = max(row for _, row in _PLACES.values()) + 1
    places = dict(_PLACES)
    for index, name in enumerate(name for name in found if name not in _PLACES):
        places[name] = (index % _COLUMNS, rows + index // _COLUMNS)
    nodes = []
    for name, (column, row) in places.items():
        number, link = found.get(name, (0, None))
        nodes.append(Node(name, column * _ACROSS, row * _DOWN, link, number))
    at = {node.name: node for node in nodes}
    edges = [_path(at[name], at[other]) for name, other in _RESTS_ON]
    width = (_COLUMNS - 1) * _ACROSS + WIDTH
    return Graph(nodes, edges, width, max(node.y for node in nodes) + HEIGHT)


def _path(start: Node, end: Node) -> str:
    if start.y == end.y:
        return f"M{start.x + WIDTH} {start.y + HEIGHT // 2}H{end.x - 3}"
    x, to = start.x + WIDTH // 2, end.x + WIDTH // 2
    if end.y < start.y:
        return f"M{x} {start.y}V{end.y + HEIGHT + 3}"
    bend = "" if x == to else f"V{start.y + HEIGHT + (_DOWN - HEIGHT) // 2}H{to}"
    return f"M{x} {start.y + HEIGHT}{bend}V{end.y - 3}"
