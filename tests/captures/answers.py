"""The answers to an observation, by the ends of the names of the files that keep them."""

from __future__ import annotations

from pathlib import Path

from kmemscope.explain.diagnosis import explain, view
from kmemscope.model.observation import Observation
from kmemscope.present.as_json import dumped, node_json, why_json
from kmemscope.present.node_text import node_text
from kmemscope.present.style import Style
from kmemscope.present.why_text import why_text

FOLDER = Path(__file__).parent
WORDS = {
    "why.txt": ["why"],
    "why-v.txt": ["why", "-v"],
    "why.json": ["why", "--json"],
    "node.txt": [],
    "node.json": ["--json"],
}
"""End of a file's name -> the words that give it on the command line, before --from."""


def answers(observation: Observation) -> dict[str, str]:
    """Everything that is said about an observation."""
    why, node, plain = explain(observation), view(observation), Style()
    return {
        "why.txt": why_text(why, plain),
        "why-v.txt": why_text(why, plain, verbose=True),
        "why.json": dumped(why_json(why)),
        "node.txt": node_text(node, plain),
        "node.json": dumped(node_json(node)),
    }
