"""The questions that the authors of the Workflow Run Crate profiles want a crate to answer.

CQ1 to CQ11 of the profiles' requirements (Leo et al., PLOS ONE 19:e0309210, 2024), asked of the
triples of a crate in SPARQL.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crates import documents

_PREFIXES = """
PREFIX s: <http://schema.org/>
PREFIX wfrun: <https://w3id.org/ro/terms/workflow-run#>
PREFIX bs: <https://bioschemas.org/>
PREFIX flow: <https://bioschemas.org/ComputationalWorkflow#>
"""

_STEP = "?action a s:CreateAction ; s:name ?job ; s:instrument ?tool . ?step s:workExample ?tool ."
_WHOLE = "?workflow a bs:ComputationalWorkflow . ?run s:instrument ?workflow ."

QUESTIONS: Mapping[str, str] = {
    "1 which container images": (
        "SELECT ?name ?sha256 { ?action wfrun:containerImage ?i . ?i s:name ?name ; wfrun:sha256 ?sha256 }"
    ),
    "2 how much memory and processor time": (
        "SELECT ?job ?what ?used { ?action s:name ?job ; wfrun:resourceUsage ?u ."
        " ?u s:propertyID ?what ; s:value ?used }"
    ),
    "3 which configuration": (
        f"SELECT ?name ?value {{ {_WHOLE} ?run s:object ?p . ?p a s:PropertyValue ; s:name ?name ; s:value ?value }}"
    ),
    "4 which environment in a step": (
        f"SELECT ?job ?name ?id {{ {_STEP} ?action s:object ?e ."
        " ?e a s:CreativeWork ; s:name ?name ; s:identifier ?id }"
    ),
    "5 how long a step took": (
        f"SELECT ?job ?start ?end {{ {_STEP} ?action s:startTime ?start ; s:endTime ?end }}"
    ),
    "6 how long the workflow took": (
        f"SELECT ?start ?end {{ {_WHOLE} ?run s:startTime ?start ; s:endTime ?end }}"
    ),
    "7 whether it succeeded": (
        "SELECT ?name ?status ?error { ?action s:actionStatus ?status ; s:name ?name ."
        " OPTIONAL { ?action s:error ?error } }"
    ),
    "8 what the workflow read and made": (
        f"SELECT ?role ?file {{ {_WHOLE} {{ ?run s:object ?file . BIND('read' AS ?role) }} UNION"
        " { ?run s:result ?file . BIND('made' AS ?role) } ?file a s:MediaObject }"
    ),
    "9 which version of a step's code": (
        f"SELECT ?job ?version {{ {_STEP} ?tool s:softwareVersion ?version }}"
    ),
    "10 what wraps a step's program": (
        f"SELECT ?job ?text {{ {_STEP} ?tool a s:SoftwareApplication ; s:description ?text }}"
    ),
    "11 which parameters tools got": (
        f"SELECT ?job ?name ?value {{ {_STEP} ?action s:object ?p . ?tool flow:input ?formal ."
        " ?p s:exampleOfWork ?formal ; s:name ?name ; s:value ?value }"
    ),
}


def answers(crate: Path) -> dict[str, list[tuple[str, ...]]]:
    """Return what a crate in a directory answers, by question, without a network."""
    import rdflib

    data: dict[str, Any] = json.loads((crate / "ro-crate-metadata.json").read_text())
    contexts = [json.loads(text)["@context"] for text in documents().values()]
    graph = rdflib.Graph()
    text = json.dumps({**data, "@context": contexts})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # rdflib's, of its own classes
        graph.parse(data=text, format="json-ld", publicID="file:///crate/")
    return {
        question: sorted(tuple(map(str, row)) for row in graph.query(_PREFIXES + query))
        for question, query in QUESTIONS.items()
    }
