"""`repro export` writes documents that the libraries of their formats accept."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from recordings import CLEAN, PINNED, Recording, study, study_again

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.logic.history import fold
from snakemake_repro.records import Entry, EnvironmentKind, JobStatus

Repro = Callable[..., Result]
ALGORITHMS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
}
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


@pytest.fixture
def runs(tmp_path: Path) -> str:
    """Record a study, and a second run of it that reuses most; return the second one's id."""
    study(tmp_path)
    return study_again(tmp_path)


@pytest.fixture
def troubled(tmp_path: Path) -> str:
    """Record a run in which one job was retried and another failed; return its id."""
    (tmp_path / "in.txt").write_text("in")
    run = Recording(tmp_path)
    run.job(
        "make", reads=["in.txt"], status=JobStatus.FAILED, verdict="rejected", error="no memory"
    )
    run.job("make", reads=["in.txt"], writes={"out.txt": "out"}, attempt=2, params=[("x", 1.5)])
    run.job(
        "stop", reads=["out.txt"], status=JobStatus.FAILED, verdict="rejected", error="bad \udcff"
    )
    return run.end("failed")


def _lines(path: Path) -> list[dict[str, Any]]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_bytes().splitlines()]


def _key(tmp_path: Path, algorithm: str) -> tuple[Path, Path]:
    private, public = tmp_path / f"{algorithm}.pem", tmp_path / f"{algorithm}.pub"
    key = ALGORITHMS[algorithm]()
    private.write_bytes(key.private_bytes(PEM, PKCS8, PLAIN))
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(PEM, shape))
    return private, public


def test_the_journals_lines_are_the_run(repro: Repro, tmp_path: Path, troubled: str) -> None:
    assert repro("export", "--format", "jsonl", "-o", "run.jsonl").exit_code == 0
    entries = [Entry.from_line(line) for line in _lines(tmp_path / "run.jsonl")]
    assert fold(entry for entry in entries if entry) == JournalStore(tmp_path).load(troubled)
    assert repro("export", troubled[:8], "--format", "jsonl", "-o", "again.jsonl").exit_code == 0
    assert (tmp_path / "run.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()


def test_prov_is_what_the_prov_library_reads(
    repro: Repro, tmp_path: Path, runs: str, troubled: str
) -> None:
    model = pytest.importorskip("prov.model")
    for run_id in (runs, troubled):
        out = tmp_path / f"{run_id}.json"
        assert repro("export", run_id, "--format", "prov", "-o", out).exit_code == 0
        document = model.ProvDocument.deserialize(source=str(out), format="json")
        kinds = [type(record).__name__ for record in document.get_records()]
        jobs = [j for j in JournalStore(tmp_path).load(run_id).jobs if j.record.started]
        activities = document.get_records(model.ProvActivity)
        names = {str(one.identifier) for one in activities}
        assert {f"job:{job.record.id}" for job in jobs} <= names
        assert {"ProvEntity", "ProvUsage", "ProvGeneration", "ProvAssociation"} <= set(kinds)
        again = model.ProvDocument.deserialize(
            content=document.serialize(format="json"), format="json"
        )
        assert again == document


def test_a_reused_result_is_generated_by_the_job_that_made_it(
    repro: Repro, tmp_path: Path, runs: str
) -> None:
    repro("export", "--format", "prov", "-o", "prov.json")
    data = json.loads((tmp_path / "prov.json").read_text())
    [first] = [
        job.record
        for job in JournalStore(tmp_path).load(JournalStore(tmp_path).run_ids()[0]).jobs
        if job.record.spec.rule == "features"
    ]
    [output] = first.outputs
    assert output.digest is not None
    [made] = [
        one for one in data["wasGeneratedBy"].values() if output.digest.value in one["prov:entity"]
    ]
    assert made["prov:activity"] == f"job:{first.id}"


def test_openlineage_events_are_what_its_client_takes(
    repro: Repro, tmp_path: Path, troubled: str
) -> None:
    client = pytest.importorskip("openlineage.client.event_v2")
    assert repro("export", "--format", "openlineage", "-o", "events.jsonl").exit_code == 0
    events = _lines(tmp_path / "events.jsonl")
    for event in events:
        client.RunEvent(
            eventTime=event["eventTime"],
            producer=event["producer"],
            eventType=client.RunState(event["eventType"]),
            run=client.Run(**event["run"]),
            job=client.Job(**event["job"]),
            inputs=[client.InputDataset(**one) for one in event["inputs"]],
            outputs=[client.OutputDataset(**one) for one in event["outputs"]],
        )
        for holder in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
            for facet in holder["facets"].values():
                assert facet["_producer"].startswith("https://")
                assert facet["_schemaURL"].startswith("https://")
    kinds = [event["eventType"] for event in events]
    assert kinds == ["START", "START", "FAIL", "START", "COMPLETE", "START", "FAIL", "FAIL"]
    moments = [dt.datetime.fromisoformat(event["eventTime"]) for event in events]
    assert moments == sorted(moments)
    [done] = [event for event in events if event["outputs"]]
    version = done["outputs"][0]["facets"]["version"]["datasetVersion"]
    assert version.startswith("sha256:")
    assert events[2]["run"]["facets"]["errorMessage"]["message"] == "no memory"
    assert done["run"]["facets"]["parent"]["run"] == {"runId": events[0]["run"]["runId"]}


def test_a_statement_names_image_and_directory(repro: Repro, tmp_path: Path) -> None:
    image = dataclasses.replace(
        PINNED, kind=EnvironmentKind.CONTAINER, image=f"lab/tool@{PINNED.digest}", packages=()
    )
    (tmp_path / "tree").mkdir()
    run = Recording(tmp_path, git=None)
    run.job("make", writes={"tree": None}, environment=image)
    run.end()
    assert repro("export", "--format", "intoto", "-o", "statements").exit_code == 0
    [statement] = _lines(tmp_path / "statements")
    [subject] = statement["subject"]
    assert (subject["name"], list(subject["digest"])) == ("tree", ["directory1"])
    needed = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    [found] = [one for one in needed if one["annotations"]["role"] == "image"]
    assert found["digest"] == {"sha256": PINNED.digest.value}
    private, public = _key(tmp_path, "ed25519")
    repro("export", "--format", "intoto", "-o", "signed", "--sign", private)
    assert repro("verify", "--signature", "signed", "--key", public).exit_code == 0
    (tmp_path / "tree/new").touch()
    assert repro("verify", "--signature", "signed", "--key", public).exit_code == 1
    (tmp_path / "tree/new").unlink()
    (tmp_path / "tree").rmdir()
    gone = repro("verify", "--signature", "signed", "--key", public)
    assert (gone.exit_code, "missing" in gone.stdout) == (1, True)


def test_a_run_without_results_has_no_statement(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("make", status=JobStatus.FAILED, verdict="rejected")
    run.end("failed")
    result = repro("export", "--format", "intoto", "-o", "statements")
    assert (result.exit_code, "has no result" in result.stderr) == (2, True)
    assert not (tmp_path / "statements").exists()


def test_each_target_has_a_statement(repro: Repro, tmp_path: Path, runs: str) -> None:
    pytest.importorskip("in_toto_attestation")
    from google.protobuf.json_format import ParseDict
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    assert repro("export", "--format", "intoto", "-o", "run.intoto.jsonl").exit_code == 0
    statements = _lines(tmp_path / "run.intoto.jsonl")
    assert [one["subject"][0]["name"] for one in statements] == ["results/summary.txt"]
    [statement] = statements
    parsed = Statement.copy_from_pb(
        ParseDict(
            {
                "type": statement["_type"],
                "subject": statement["subject"],
                "predicateType": statement["predicateType"],
                "predicate": statement["predicate"],
            },
            Message(),
        )
    )
    parsed.validate()
    provenance = ParseDict(statement["predicate"], provenance_pb2.Provenance())
    needed = {d.name: d.digest for d in provenance.build_definition.resolved_dependencies}
    assert {"results/svm.json", "results/xgboost.json", "data/p.dat", "data/Fe.dat"} <= set(needed)
    code = provenance.build_definition.resolved_dependencies[0]
    assert (code.uri, code.digest["gitCommit"]) == (f"git+{CLEAN.url}", CLEAN.commit)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_holds_for_an_independent_library(
    repro: Repro, tmp_path: Path, runs: str, algorithm: str
) -> None:
    dsse = pytest.importorskip("securesystemslib.dsse")
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    private, public = _key(tmp_path, algorithm)
    out = repro("export", "--format", "intoto", "-o", "signed.jsonl", "--sign", private)
    assert out.stdout.endswith("1 line, signed.\n")
    [envelope] = _lines(tmp_path / "signed.jsonl")
    [signature] = envelope["signatures"]
    key = SSlibKey.from_crypto(load_pem_public_key(public.read_bytes()), keyid=signature["keyid"])
    read = dsse.Envelope.from_dict(json.loads(json.dumps(envelope)))
    assert list(read.verify([key], 1)) == [signature["keyid"]]
    assert json.loads(read.payload)["subject"][0]["name"] == "results/summary.txt"
    assert repro("verify", "--signature", "signed.jsonl", "--key", public).exit_code == 0


def test_what_was_signed_for_is_told_from_what_was_not(
    repro: Repro, tmp_path: Path, runs: str
) -> None:
    private, public = _key(tmp_path, "ed25519")
    _, other = _key(tmp_path, "P-256")
    repro("export", "--format", "intoto", "-o", "signed.jsonl", "--sign", private)
    wrong = repro("verify", "--signature", "signed.jsonl", "--key", other)
    assert (wrong.exit_code, "the signature is not valid" in wrong.stderr) == (1, True)
    [envelope] = _lines(tmp_path / "signed.jsonl")
    envelope["payload"] = envelope["payload"][:-4] + "AAAA"
    (tmp_path / "forged.jsonl").write_text(json.dumps(envelope))
    forged = repro("verify", "--signature", "forged.jsonl", "--key", public)
    assert (forged.exit_code, "the signature is not valid" in forged.stderr) == (1, True)
    (tmp_path / "results/summary.txt").write_text("meddled")
    changed = repro("verify", "--signature", "signed.jsonl", "--key", public, "--json")
    assert changed.exit_code == 1
    [finding] = json.loads(changed.stdout)["verification"]["findings"]
    assert (finding["path"], finding["state"]) == ("results/summary.txt", "changed")


def test_wrong_keys_and_files_are_named(repro: Repro, tmp_path: Path, runs: str) -> None:
    private, public = _key(tmp_path, "ed25519")
    rsa, sealed = tmp_path / "rsa.pem", tmp_path / "sealed.pem"
    key = generate_private_key(65537, 2048)
    rsa.write_bytes(key.private_bytes(PEM, PKCS8, PLAIN))
    seal = serialization.BestAvailableEncryption(b"word")
    sealed.write_bytes(ALGORITHMS["ed25519"]().private_bytes(PEM, PKCS8, seal))

    def signed(key: Path) -> str:
        result = repro("export", "--format", "intoto", "-o", "x", "--sign", key)
        assert result.exit_code == 2
        return result.stderr

    assert "cannot be used, expected an Ed25519 key" in signed(rsa)
    assert "is encrypted" in signed(sealed)
    assert "holds no private key" in signed(public)
    assert (
        "is not signed" in repro("export", "--format", "prov", "-o", "x", "--sign", private).stderr
    )
    assert not (tmp_path / "x").exists()
    (tmp_path / "no.jsonl").write_text("{}\n")
    for file, message in (("no.jsonl", "not an envelope"), ("rsa.pem", "not a JSON object")):
        result = repro("verify", "--signature", file, "--key", public)
        assert (result.exit_code, message in result.stderr) == (3, True), result.stderr
    assert "belong together" in repro("verify", "--signature", "no.jsonl").stderr


def test_a_document_is_not_written_over(repro: Repro, tmp_path: Path, runs: str) -> None:
    (tmp_path / "there").write_text("mine")
    result = repro("export", "--format", "prov", "-o", "there")
    assert (result.exit_code, "is there already" in result.stderr) == (2, True)
    assert (tmp_path / "there").read_text() == "mine"
    assert repro("export", "--format", "prov", "-o", "no/where").exit_code == 3
    assert [path.name for path in tmp_path.glob(".*") if path.name != ".repro"] == []
