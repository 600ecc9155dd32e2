"""The study's scripts on two real CORSIKA files, each run by Snakemake as in the study."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import uproot
from runs import Workspace

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "corsika"
SCRIPTS = ROOT / "workflow" / "scripts"
SILICON, IRON = DATA / "DAT000031", DATA / "DAT000045"


@pytest.fixture
def study(tmp_path: Path, tracking_uri: str) -> Workspace:
    """A copy of the study with an empty folder for CORSIKA files."""
    root = tmp_path / "work"
    shutil.copytree(ROOT / "workflow", root / "workflow")
    shutil.copytree(ROOT / "envs", root / "envs")
    (root / "corsika").mkdir()
    return Workspace(root, tracking_uri=tracking_uri)


def run(study: Workspace, *args: str, fails: bool = False) -> str:
    """Run the study on its own folder of CORSIKA files."""
    call = study.fails if fails else study.ok
    return call(*args, "--config", "corsika_dir=corsika", executor="local").output


def renumbered(source: Path, number: int) -> bytes:
    """Return a CORSIKA file as if it were another run: its content with another run number."""
    content = bytearray(source.read_bytes())
    size, word = 273 * 4, 4
    for start in range(4, len(content) - size + 1, size):
        # the second word of the run's header and end, the 44th of a shower's header
        place = {b"RUNH": 1, b"RUNE": 1, b"EVTH": 43}.get(bytes(content[start : start + 4]))
        if place is not None:
            struct.pack_into("<f", content, start + place * word, number)
    return bytes(content)


# ----- reading CORSIKA ---------------------------------------------------------------------------


def test_a_run_is_read_as_corsika_wrote_it(study: Workspace) -> None:
    shutil.copy(SILICON, study.root / "corsika")
    run(study, "results/runs/DAT000031.showers.parquet")
    showers = pq.read_table(study.root / "results/runs/DAT000031.showers.parquet").to_pydict()
    muons = pq.read_table(study.root / "results/runs/DAT000031.muons.parquet").to_pandas()
    assert showers["run"] == [31] * 5
    assert showers["shower"] == [1, 2, 3, 4, 5]
    assert set(showers["primary"]) == {2814}
    assert set(showers["corsika"]) == {7.75}
    assert set(showers["observation_level_m"]) == {110.0}
    assert set(showers["high_energy_model"]) == set(showers["low_energy_model"]) == {2}
    assert 1e4 < min(showers["energy_gev"]) < max(showers["energy_gev"]) < 1e9
    assert showers["muons"] == [int((muons["shower"] == n).sum()) for n in range(1, 6)]
    assert max(showers["muons"]) == 24
    assert set(muons["code"]) == {5, 6}
    # CORSIKA was told to follow muons above 1 TeV
    assert muons["energy_gev"].min() > 1000
    assert np.hypot(muons["x_m"], muons["y_m"]).max() < 100


def test_a_run_without_muons_is_a_table_without_rows(study: Workspace) -> None:
    """The first shower of the iron file is of low energy; a file with only that one has none."""
    content = IRON.read_bytes()
    size = 273 * 4
    blocks = [content[4 + n * size : 4 + (n + 1) * size] for n in range(21)]
    kinds = [block[:4] for block in blocks]
    end = bytearray(blocks[kinds.index(b"RUNE")])
    struct.pack_into("<f", end, 8, 1)
    kept = [*blocks[: kinds.index(b"EVTE") + 1], bytes(end)]
    kept += [bytes(size)] * (21 - len(kept))
    (study.root / "corsika" / "DAT000045").write_bytes(content[:4] + b"".join(kept) + content[-4:])
    run(study, "results/runs/DAT000045.muons.parquet")
    table = pq.read_table(study.root / "results/runs/DAT000045.muons.parquet")
    assert table.num_rows == 0
    assert table.column_names[:3] == ["run", "shower", "code"]
    showers = pq.read_table(study.root / "results/runs/DAT000045.showers.parquet").to_pydict()
    assert showers["muons"] == [0]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello\n" * 5000, id="text"),
        pytest.param(SILICON.read_bytes()[:-100], id="cut off"),
        pytest.param(SILICON.read_bytes()[:11_000], id="half"),
        pytest.param(bytes(22_940), id="zeros"),
        pytest.param(
            SILICON.read_bytes()[:9000] + bytes(4000) + SILICON.read_bytes()[13_000:], id="hole"
        ),
    ],
)
def test_a_file_that_is_no_complete_run_is_one_clear_error(
    study: Workspace, content: bytes
) -> None:
    (study.root / "corsika" / "DAT000031").write_bytes(content)
    output = run(study, "results/runs/DAT000031.showers.parquet", fails=True)
    (line,) = (line for line in output.splitlines() if line.startswith("corsika/read: "))
    assert line.startswith(
        "corsika/read: corsika/DAT000031: expected a complete CORSIKA particle file without thinning, "
        "got "
    )
    assert line.endswith("take it out of the folder)")
    assert not list((study.root / "results").rglob("*.parquet"))


# ----- ROOT --------------------------------------------------------------------------------------


def test_a_tree_holds_the_showers_and_muons_of_one_primary(study: Workspace) -> None:
    shutil.copy(SILICON, study.root / "corsika")
    shutil.copy(IRON, study.root / "corsika")
    run(study, "results/root/Si.root", "results/root/Fe.root")
    muons = pq.read_table(study.root / "results/runs/DAT000031.muons.parquet").to_pandas()
    with uproot.open(study.root / "results/root/Si.root") as file:
        assert file.classnames() == {"showers;1": "TTree"}
        tree = file["showers"].arrays()
    assert tree.run.tolist() == [31] * 5
    assert tree.shower.tolist() == [1, 2, 3, 4, 5]
    for shower, found in zip(tree.shower.tolist(), tree.muon_energy_gev.tolist(), strict=True):
        assert found == muons["energy_gev"][muons["shower"] == shower].tolist()
    with uproot.open(study.root / "results/root/Fe.root") as file:
        assert set(file["showers"]["primary"].array().tolist()) == {5426}


def test_a_tree_is_the_same_bytes_whenever_and_wherever_it_is_written(
    study: Workspace, tmp_path: Path, tracking_uri: str
) -> None:
    shutil.copy(SILICON, study.root / "corsika")
    elsewhere = tmp_path / "another" / "place"
    shutil.copytree(study.root, elsewhere)
    run(study, "results/root/Si.root")
    time.sleep(1.1)  # ROOT's dates have whole seconds
    run(Workspace(elsewhere, tracking_uri=tracking_uri), "results/root/Si.root")
    first, second = (
        {
            path.relative_to(root): path.read_bytes()
            for path in (root / "results").rglob("*")
            if path.is_file()
        }
        for root in (study.root, elsewhere)
    )
    assert len(first) == 3
    assert first == second


def test_a_primary_that_no_run_has_is_one_clear_error(study: Workspace) -> None:
    shutil.copy(SILICON, study.root / "corsika")
    output = run(study, "results/root/Fe.root", fails=True)
    assert (
        "to_root: primary Fe: expected showers with CORSIKA's particle code 5426, found only 2814. "
        "Correct `primaries` in the configuration, or add such runs."
    ) in output


def test_a_run_that_is_there_twice_is_one_clear_error(study: Workspace) -> None:
    shutil.copy(SILICON, study.root / "corsika")
    shutil.copy(SILICON, study.root / "corsika" / "DAT000099")
    output = run(study, "results/root/Si.root", fails=True)
    assert "to_root: shower 1 of run 31: expected once, found 2 times." in output


# ----- features ----------------------------------------------------------------------------------


@pytest.fixture
def runs_of_two(study: Workspace) -> Workspace:
    """Four runs each of silicon and iron, made of the two files with other run numbers."""
    for number in range(4):
        for base, source in ((100, SILICON), (200, IRON)):
            name = f"DAT{base + number:06d}"
            (study.root / "corsika" / name).write_bytes(renumbered(source, base + number))
    (study.root / "two.yaml").write_text(
        "corsika_dir: corsika\n"
        "primaries: {Si: 2814, Fe: 5426}\n"
        "tasks: [si_fe]\n"
        "classes: {si_fe: {silicon: [Si], iron: [Fe]}, p_fe: {Si: [Si], Fe: [Fe]},\n"
        "  light_heavy: {light: [Si], heavy: [Fe]}}\n"
        "positive: {si_fe: iron}\n"
        "folds: 2\n"
        "min_muons: 2\n"
        "bootstrap: 200\n"
        "parameters: {svm: {nystroem__n_components: 5}}\n"
        "trials: {lightgbm: 0}\n"
        "hadronic: {models: []}\n"
    )
    return study


def test_features_say_what_the_muons_say_and_never_split_a_run(runs_of_two: Workspace) -> None:
    study = runs_of_two
    target = "results/features/si_fe/fold0.test.parquet"
    study.ok(target, "--configfile", "two.yaml", executor="local")
    folder = study.root / "results/features/si_fe"
    for number in (0, 1):
        train = pq.read_table(folder / f"fold{number}.train.parquet").to_pandas()
        test = pq.read_table(folder / f"fold{number}.test.parquet").to_pandas()
        assert not set(train["run"]) & set(test["run"])
        # four runs of each primary, dealt out to two folds
        assert set(test["run"]) == {100 + number, 102 + number, 200 + number, 202 + number}
        assert set(train["class"]) == set(test["class"]) == {"silicon", "iron"}
        assert "energy_gev" not in test.columns
    muons = pq.read_table(study.root / "results/runs/DAT000100.muons.parquet").to_pandas()
    test = pq.read_table(folder / "fold0.test.parquet").to_pandas()
    rows = test[test["run"] == 100].set_index("shower")
    counts = muons.groupby("shower").size()
    assert sorted(rows.index) == sorted(counts.index[counts >= 2])
    for shower, row in rows.iterrows():
        own = muons[muons["shower"] == shower]
        radius = np.hypot(own["x_m"], own["y_m"])
        expected = {
            "log10_muons": np.log10(len(own)),
            "log10_energy_sum": np.log10(own["energy_gev"].sum()),
            "log10_energy_max": np.log10(own["energy_gev"].max()),
            "log10_energy_mean": np.log10(own["energy_gev"]).mean(),
            "log10_energy_spread": np.log10(own["energy_gev"]).std(ddof=0),
            "log10_radius_median": np.log10(np.median(radius)),
            "log10_radius_rms": np.log10(np.sqrt((radius**2).mean())),
            "log10_radius_max": np.log10(radius.max()),
            "log10_pt_mean": np.log10(own["pt_gev"].mean()),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_more_folds_than_runs_are_one_clear_error(runs_of_two: Workspace) -> None:
    done = runs_of_two.fails(
        "results/features/si_fe/fold0.test.parquet",
        *("--configfile", "two.yaml", "--config", "folds=5"),
        executor="local",
    )
    assert (
        "features: results/root/Si.root: expected at least 5 runs for 5 folds, found 4. "
        "Give a smaller number of folds, or add runs."
    ) in done.output


def test_images_are_dealt_out_class_by_class_and_none_is_there_twice(study: Workspace) -> None:
    lines = [f"{number}.5,{'1,' * 9}{'gh'[number % 3 == 0]}" for number in range(30)]
    (study.root / "magic.dat").write_text("\n".join([*lines, *lines[:5]]) + "\n")
    settings = ("--config", "magic={file: magic.dat}", "folds=2")
    study.ok("results/features/magic/fold0.test.parquet", *settings, executor="local")
    folder = study.root / "results/features/magic"
    parts = {
        part: pq.read_table(folder / f"{part}.parquet").to_pandas()
        for part in ("fold0.train", "fold0.test", "fold1.train", "fold1.test")
    }
    assert sorted(pd.concat([parts["fold0.test"], parts["fold1.test"]])["length"]) == [
        number + 0.5 for number in range(30)
    ]
    for one, other in ((0, 1), (1, 0)):
        assert parts[f"fold{one}.train"].equals(parts[f"fold{other}.test"])
        assert dict(parts[f"fold{one}.test"]["class"].value_counts()) == {"gamma": 10, "hadron": 5}
    (study.root / "magic.dat").write_text("1,2,3\n")
    output = study.fails(
        "results/features/magic/fold0.test.parquet", "--force", *settings, executor="local"
    ).output
    assert "magic_images: magic.dat: expected 10 numbers and a letter in each line, got:" in output


def test_a_shower_counts_as_much_as_the_flux_at_its_energy(study: Workspace) -> None:
    shutil.copy(IRON, study.root / "corsika")
    run(study, "results/flux.parquet")
    table = pq.read_table(study.root / "results/flux.parquet").to_pandas()
    energy = table["energy_gev"].to_numpy()
    # H3a's iron: three populations, each with a cutoff in rigidity (Gaisser 2012, tables 1 and 2)
    populations = ((2120, 1.63, 4e6), (13.4, 1.4, 3e7), (1.14, 1.4, 2e9))
    flux = sum(a * energy ** -(g + 1) * np.exp(-energy / 26 / r) for a, g, r in populations)
    # the showers share five decades with the index -1
    assert table["weight"].to_numpy() == pytest.approx(flux * energy * np.log(1e5) / len(energy))


def test_the_whole_study_runs_on_ones_own_files(runs_of_two: Workspace) -> None:
    study = runs_of_two
    study.ok("--configfile", "two.yaml", executor="local")
    summary = json.loads((study.root / "results/summary.json").read_text())
    assert set(summary) == {"si_fe"}
    assert set(summary["si_fe"]) == {"svm", "xgboost", "lightgbm"}
    for metrics in summary["si_fe"].values():
        assert metrics["rows"] == 16
        assert metrics["groups"] == 8
        assert metrics["counts"] == {"iron": 4, "silicon": 12}
        assert metrics["positive"] == "iron"
    lines = (study.root / "results/summary.csv").read_text().splitlines()
    assert lines[0].startswith("task,model,events,groups,roc_auc,roc_auc_low,roc_auc_high,accuracy")
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["si_fe", model, "16", "8"] for model in ("svm", "xgboost", "lightgbm")
    ]
    assert "| si_fe | svm | 16 | 8 | " in (study.root / "results/summary.md").read_text()
    assert len(list((study.root / "results/evaluation/si_fe").glob("*.png"))) == 3
    again = study.ok("--configfile", "two.yaml", executor="local")
    assert "Nothing to be done" in again.output


# ----- configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (["corsika_dir=nowhere"], "corsika_dir: no CORSIKA files in nowhere: expected files named"),
        (["tasks=[p_o]"], "tasks: p_o is not defined: expected one of p_fe, light_heavy, magic."),
        (["folds=1"], "1 is less than the minimum of 2"),
        (
            ["models=[cnn]"],
            "models: cnn is not defined: expected one of svm, xgboost, lightgbm, keras, pytorch, ",
        ),
        (["positive={p_fe: He}"], "positive: expected one of the classes of p_fe (p, Fe), got He."),
        (
            ["adapted={magic: {svm: {C: 2}}}"],
            "adapted: magic gives svm C: expected one of nystroem__n_components, linearsvc__C, ",
        ),
        (
            ["classes={p_fe: {p: [p], Fe: [Fe, O]}}"],
            "classes: p_fe uses O: expected names of primaries (p, He, C, Si, Fe).",
        ),
    ],
)
def test_a_configuration_that_makes_no_sense_is_one_clear_error(
    study: Workspace, config: list[str], message: str
) -> None:
    assert message in study.fails("-n", "--config", *config, executor="local").output


def test_the_study_without_options_is_about_ninety_jobs(study: Workspace) -> None:
    """The profile beside the Snakefile is found: no option but the dry run is given."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--nocolor"],
        cwd=study.root,
        env=study.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    assert "Using workflow specific profile workflow/profiles/default" in text
    totals = {line.split()[1] for line in text.splitlines() if line.startswith("total ")}
    assert len(totals) == 1
    assert 85 <= int(totals.pop()) <= 100


# ----- fetching ----------------------------------------------------------------------------------

BACKEND = """
import os
def prepare_metadata_for_build_wheel(directory, settings=None):
    os.mkdir(os.path.join(directory, "tiny-1.0.dist-info"))
    with open(os.path.join(directory, "tiny-1.0.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
    return "tiny-1.0.dist-info"
"""
FETCH = """
rule fetch:
    output:
        ensure("archive.tar.gz", sha256="{ensured}"),
    params:
        requirement="tiny==1.0",
        sha256="{archive}",
        backend="tinybackend==1.0",
        backend_sha256="{backend}",
    script:
        "{scripts}/fetch_corsika.py"
"""


class Index:
    """A folder that pip takes packages from, and nothing else: one archive and its backend."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        with zipfile.ZipFile(folder / "tinybackend-1.0-py3-none-any.whl", "w") as wheel:
            info = "tinybackend-1.0.dist-info"
            wheel.writestr("tinybackend.py", BACKEND)
            wheel.writestr(
                f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinybackend\nVersion: 1.0\n"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        members = {
            "tiny-1.0/pyproject.toml": b"[build-system]\nrequires = ['tinybackend']\n"
            b"build-backend = 'tinybackend'\n",
            "tiny-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        }
        with tarfile.open(folder / "tiny-1.0.tar.gz", "w:gz") as archive:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    def digest(self, name: str) -> str:
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()

    def environ(self, *, offered: bool = True) -> dict[str, str]:
        """Return a user's own configuration of pip."""
        folder = self.folder if offered else self.folder / "nothing"
        return {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}

    def snakefile(self, **other: str) -> str:
        archive = self.digest("tiny-1.0.tar.gz")
        known = {
            "ensured": archive,
            "archive": archive,
            "backend": self.digest("tinybackend-1.0-py3-none-any.whl"),
        }
        return FETCH.format(**(known | other), scripts=SCRIPTS)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index")


@pytest.fixture
def fetching(tmp_path: Path, tracking_uri: str) -> Workspace:
    (tmp_path / "work").mkdir()
    return Workspace(tmp_path / "work", tracking_uri=tracking_uri)


def test_an_archive_is_fetched_as_the_user_configured_pip_and_not_installed(
    fetching: Workspace, index: Index
) -> None:
    fetching.write("Snakefile", index.snakefile())
    fetching.ok(executor="local", env=index.environ())
    fetched = (fetching.root / "archive.tar.gz").read_bytes()
    assert fetched == (index.folder / "tiny-1.0.tar.gz").read_bytes()
    import importlib.util

    assert importlib.util.find_spec("tinybackend") is None
    assert importlib.util.find_spec("tiny") is None


@pytest.mark.parametrize("which", ["archive", "backend"])
def test_a_digest_that_does_not_match_is_refused(
    fetching: Workspace, index: Index, which: str
) -> None:
    fetching.write("Snakefile", index.snakefile(**{which: "0" * 64}))
    output = fetching.fails(executor="local", env=index.environ()).output
    name = {"archive": "tiny==1.0", "backend": "tinybackend==1.0"}[which]
    assert "DO NOT MATCH THE HASHES" in output
    assert f"fetch_corsika: pip could not download {name}: expected exit status 0, got 1" in output
    assert not (fetching.root / "archive.tar.gz").exists()


def test_an_archive_that_nobody_offers_is_one_clear_error(
    fetching: Workspace, index: Index
) -> None:
    fetching.write("Snakefile", index.snakefile())
    output = fetching.fails(executor="local", env=index.environ(offered=False)).output
    assert "fetch_corsika: pip could not download tinybackend==1.0" in output
    assert "--config corsika_dir=FOLDER" in output


# ----- unpacking ---------------------------------------------------------------------------------

UNPACK = f"""
rule unpack:
    input:
        "archive.tar.gz",
    output:
        "out/DAT000031",
        "out/DAT000045",
    script:
        "{SCRIPTS}/unpack_corsika.py"
"""
FOLDER = "corsika_panama-1.0.4/tests/files"


def pack(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                name, content = member
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.SYMTYPE
    info.linkname = target
    return info


def test_only_the_files_that_are_asked_for_leave_the_archive(fetching: Workspace) -> None:
    fetching.write("Snakefile", UNPACK)
    pack(
        fetching.root / "archive.tar.gz",
        (f"{FOLDER}/DAT000031", b"silicon"),
        (f"{FOLDER}/DAT000045", b"iron"),
        (f"{FOLDER}/DAT000046", b"more iron"),
        ("corsika_panama-1.0.4/setup.py", b"raise SystemExit"),
        ("../outside", b"evil"),
    )
    fetching.ok(executor="local")
    assert (fetching.root / "out/DAT000031").read_bytes() == b"silicon"
    assert sorted(path.name for path in (fetching.root / "out").iterdir()) == [
        "DAT000031",
        "DAT000045",
    ]
    assert not (fetching.root.parent / "outside").exists()
    assert not (fetching.root / "corsika_panama-1.0.4").exists()


def test_a_link_in_place_of_a_file_is_refused(fetching: Workspace, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not for you")
    fetching.write("Snakefile", UNPACK)
    pack(
        fetching.root / "archive.tar.gz",
        (f"{FOLDER}/DAT000031", b"silicon"),
        link(f"{FOLDER}/DAT000045", str(secret)),
    )
    output = fetching.fails(executor="local").output
    assert f"expected a regular file {FOLDER}/DAT000045, found none." in output
    assert not (fetching.root / "out/DAT000045").exists()


def test_an_archive_that_is_cut_off_is_one_clear_error(fetching: Workspace) -> None:
    fetching.write("Snakefile", UNPACK)
    path = fetching.root / "archive.tar.gz"
    pack(path, (f"{FOLDER}/DAT000031", os.urandom(50_000)), (f"{FOLDER}/DAT000045", b"iron"))
    path.write_bytes(path.read_bytes()[:20_000])
    output = fetching.fails(executor="local").output
    assert "unpack_corsika: archive.tar.gz: expected a complete gzipped tar archive, got:" in output
    assert not list((fetching.root / "out").glob("*"))


# ----- fixtures ----------------------------------------------------------------------------------


def test_the_fixtures_are_what_their_readme_says() -> None:
    readme = (DATA / "README.md").read_text()
    for path in (SILICON, IRON):
        content = path.read_bytes()
        assert len(content) == 22_940
        assert f"| `{path.name}` | `{hashlib.sha256(content).hexdigest()}` |" in readme
