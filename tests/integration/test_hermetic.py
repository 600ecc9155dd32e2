"""A hermetic job sees what its rule declares and nothing else; nothing else is kept of it."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from processes import descendants, wait_for
from runs import Workspace

from snakemake_repro.records import IsolationMode, JobStatus

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap"),
]

UNTRACED = ("--ray-hermetic", "enforce", "--ray-hermetic-trace", "off")
ODD = ("with space", "new\nline", "-dash", "über", "quote'\"", "$(touch x)")


def _nothing_is_left(workspace: Workspace) -> bool:
    left = [p for p in workspace.root.rglob("*") if ".repro-" in p.name or p.name == "stage"]
    return left == []


def test_a_declared_file_is_all_that_a_job_sees(workspace: Workspace) -> None:
    workspace.write("declared.txt", "declared\n")
    workspace.write("data/a.txt", "a\n")
    workspace.write("data/b.txt", "b\n")
    workspace.write(
        "Snakefile",
        """
        rule look:
            input: "declared.txt", "data/a.txt"
            output: "out/seen.txt"
            log: "logs/look.log"
            shell: "pwd > {log}; touch {output}; find . -type f | sort > {output}"
        """,
    )
    workspace.ok(*UNTRACED)
    seen = (workspace.root / "out/seen.txt").read_text().splitlines()
    assert seen == ["./data/a.txt", "./declared.txt", "./logs/look.log", "./out/seen.txt"]
    assert (workspace.root / "logs/look.log").read_text() == f"{workspace.root}\n"
    record = workspace.job("look").record
    assert record.violations == ()
    assert record.isolation is not None
    assert record.isolation.mode is IsolationMode.ENFORCE
    assert record.isolation.open == ("clock",)
    assert record.isolation.base is not None
    assert (record.isolation.base.kind, record.isolation.base.pinned) == ("host", False)
    assert record.use is not None
    assert record.use.max_rss_mb > 0
    assert _nothing_is_left(workspace)


def test_the_room_is_the_same_wherever_the_job_runs(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        envvars: "REPRO_TEST_DECLARED"
        rule all:
            output: "out/all.txt"
            shell:
                "(env | cut -d= -f1 | sort | tr '\\n' ' '; echo; umask; hostname; date +%Z; id -u -n; "
                "ls -A $HOME | wc -l; locale charmap 2>&1 || true; cat /proc/net/dev | tail -n +3 "
                "| cut -d: -f1; ls /proc | grep -c '^[0-9]' ; echo $REPRO_TEST_DECLARED; "
                "stat -c %u:%g $0 >/dev/null 2>&1; ls /etc | grep -c machine-id || true; "
                "echo $TMPDIR $PYTHONHASHSEED $SOURCE_DATE_EPOCH) > {output}"
        """,
    )
    workspace.environ |= {
        "REPRO_TEST_DECLARED": "yes",
        "REPRO_TEST_HOST": "leak",
        "TZ": "Asia/Tokyo",
    }
    workspace.ok(*UNTRACED)
    path = workspace.root / "out/all.txt"
    names, *lines = path.read_text().splitlines()
    assert "REPRO_TEST_HOST" not in names.split()
    assert {"HOME", "PATH", "REPRO_JOB", "REPRO_METRICS", "REPRO_TEST_DECLARED", "TZ"} <= set(
        names.split()
    )
    assert lines[:4] == ["0022", "job", "UTC", "job"]
    assert lines[4] == "0"
    assert lines[5] == "UTF-8"
    assert lines[6].strip() == "lo"
    assert int(lines[7]) < 12
    assert lines[8:] == ["yes", "0", "/tmp 0 315532800"]
    assert path.stat().st_uid == os.getuid()
    assert path.stat().st_mode & 0o777 == 0o644


OFFENCES = {
    "read_top": "cat hidden.txt > {output}",
    "read_in": "cat data/hidden.txt > {output}",
    "read_beside": "cat out/hidden.txt > {output}",
    "read_outside": "cat ../outside.txt > {output}",
    "append": "cp {input[0]} {output}; echo more >> {input[0]}",
    "remove": "cp {input[0]} {output}; rm {input[0]}",
    "remove_beside": "cp {input[0]} {output}; rm {input[1]}",
    "write_top": "cp {input[0]} {output}; echo x > undeclared.txt",
    "write_in": "cp {input[0]} {output}; echo x > data/undeclared.txt",
    "write_etc": "cp {input[0]} {output}; echo x > /etc/undeclared",
    "write_root": "cp {input[0]} {output}; echo x > /undeclared",
    "connect": "exec 3<>/dev/tcp/127.0.0.1/{PORT}; echo reached > {output}",
}


def test_what_is_not_declared_fails_the_job(workspace: Workspace) -> None:
    for name in ("hidden.txt", "data/hidden.txt", "data/a.txt", "out/b.txt", "../outside.txt"):
        workspace.write(name, f"{name}\n")
    workspace.write("out/hidden.txt", "hidden\n")
    rules = [
        f"rule {name}:\n    input: 'data/a.txt', 'out/b.txt'\n    output: 'out/{name}'\n"
        f"    shell: {command!r}\n"
        for name, command in OFFENCES.items()
    ]
    workspace.write("Snakefile", f"PORT = {_listening_port(workspace)}\n" + "".join(rules))
    before = _contents(workspace)
    workspace.fails(*UNTRACED, "--keep-going", *(f"out/{name}" for name in OFFENCES))
    assert _contents(workspace) == before
    statuses = {name: workspace.job(name).record.status for name in OFFENCES}
    assert statuses == dict.fromkeys(OFFENCES, JobStatus.FAILED)
    assert _nothing_is_left(workspace)


def _contents(workspace: Workspace) -> dict[str, str]:
    paths = [*workspace.root.glob("*.txt"), *workspace.root.glob("[do]*/*")]
    return {str(path): path.read_text() for path in paths}


def _listening_port(workspace: Workspace) -> int:
    """Return the port of the cluster that the run itself uses."""
    return int(workspace.command()[-1].rpartition(":")[2])


def test_a_file_beside_the_outputs_is_named_and_nothing_is_kept(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule one:
            output: "out/one.txt", "top.txt"
            log: "logs/one.log"
            shell:
                "echo said > {log}; touch {output} out/extra.txt other.txt; mkdir -p out/deep; "
                "touch out/deep/more"
        """,
    )
    done = workspace.fails(*UNTRACED)
    assert "it wrote other.txt, which it does not declare (and 2 more)" in done.output
    record = workspace.job("one").record
    assert record.violations == tuple(
        f"wrote {name}, which it does not declare"
        for name in ("other.txt", "out/deep/more", "out/extra.txt")
    )
    assert (record.status, record.exit_code) == (JobStatus.FAILED, 0)
    assert (workspace.root / "logs/one.log").read_text() == "said\n"
    left = {p.name for p in workspace.root.glob("out/*")} | {
        p.name for p in workspace.root.glob("*")
    }
    assert left & {"extra.txt", "other.txt", "one.txt", "top.txt", "deep"} == set()


def test_temporary_files_may_be_written_and_do_not_stay(workspace: Workspace) -> None:
    mark = f"repro-hermetic-{os.getpid()}"
    workspace.write(
        "Snakefile",
        f"""
        rule one:
            output: "out/one.txt"
            shell:
                "echo x > /tmp/{mark}; echo x > $HOME/{mark}; cd $(mktemp -d) && touch {mark} && cd - "
                "&& cat /tmp/{mark} > {{output}}"
        rule own:
            output: "out/own.txt"
            resources: tmpdir="{workspace.root}/scratch"
            shell: "echo $TMPDIR > $TMPDIR/{mark}; cat {{resources.tmpdir}}/{mark} > {{output}}"
        """,
    )
    workspace.ok(*UNTRACED, "out/one.txt", "out/own.txt")
    assert not Path("/tmp", mark).exists()
    assert not Path.home().joinpath(mark).exists()
    assert (workspace.root / "out/own.txt").read_text() == f"{workspace.root}/scratch\n"
    assert list((workspace.root / "scratch").iterdir()) == []


def test_outputs_are_those_of_an_open_run(workspace: Workspace) -> None:
    """Directories, odd names, nested places, links and executables come out as they went in."""
    workspace.write("data/in.txt", "in\n")
    workspace.write("ref/deep/a.txt", "a\n")
    (workspace.root / "link.txt").symlink_to("data/in.txt")
    for name in ODD:
        (workspace.root / "data" / name).write_text(f"{name}\n")
    workspace.write(
        "Snakefile",
        f"""
        ODD = {ODD!r}
        rule all:
            input: "out/dir", "out/nested/deep/x.txt", "out/x.txt", "top.txt", "out/touched",
                "out/tool.sh", "done.txt",
        rule directory:
            input: "ref"
            output: directory("out/dir")
            shell: "mkdir {{output}}; cp -r {{input}}/deep {{output}}; ln -s deep/a.txt {{output}}/l"
        rule nested:
            input: "link.txt", "data/in.txt"
            output: "out/nested/deep/x.txt", "out/x.txt", "top.txt"
            shell: "cat {{input}} | tee {{output[0]}} {{output[1]}} > {{output[2]}}"
        rule touched:
            output: touch("out/touched")
            shell: "true"
        rule tool:
            output: "out/tool.sh"
            shell: "echo '#!/bin/sh' > {{output}}; chmod 755 {{output}}"
        rule odd:
            input: expand("data/{{name}}", name=ODD)
            output: expand("out/odd/{{name}}", name=ODD)
            shell: "for f in {{input:q}}; do cp -- \\"$f\\" \\"out/odd/$(basename -- \\"$f\\"; echo .)\\"; done; cd out/odd; for f in *$'\\\\n.'; do mv -- \\"$f\\" \\"${{{{f%??}}}}\\"; done"
        rule last:
            input: rules.odd.output, "out/dir", "out/x.txt"
            output: "done.txt"
            shell: "ls out/odd/ | cat > {{output}}; cat out/dir/l out/x.txt >> {{output}}"
        """,
    )
    workspace.ok(*UNTRACED)
    hermetic = _outputs(workspace)
    assert len([name for name in hermetic if name.startswith("out/odd/")]) == len(ODD)
    workspace.ok("--forceall")
    assert _outputs(workspace) == hermetic
    assert _nothing_is_left(workspace)


def _outputs(workspace: Workspace) -> dict[str, tuple[int, bytes]]:
    paths = [*workspace.root.glob("out/**/*"), *workspace.root.glob("*.txt")]
    return {
        str(p.relative_to(workspace.root)): (p.stat().st_mode, p.read_bytes())
        for p in sorted(paths)
        if p.is_file() and not p.name.startswith(".")
    }


def test_thousands_of_inputs_are_seen_and_their_digests_stay_known(workspace: Workspace) -> None:
    for index in range(5_000):
        path = workspace.root / f"many/{index % 10}/{index}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{index}\n")
    workspace.write(
        "Snakefile",
        """
        MANY = [f"many/{i % 10}/{i}.txt" for i in range(5_000)]
        rule all:
            input: "out/sum.txt", "many/0/sum.txt"
        rule sum:
            input: MANY
            output: "out/sum.txt"
            shell: "find many -type f | xargs cat | sort -n | sha256sum > {output}; ! : 2>/dev/null >> many/1/1.txt"
        rule beside:
            input: MANY
            output: "many/0/sum.txt"
            shell: "find many -name '[0-9]*.txt' | xargs cat | sort -n | sha256sum > {output}"
        """,
    )
    workspace.ok(*UNTRACED)
    sums = {(workspace.root / name).read_text() for name in ("out/sum.txt", "many/0/sum.txt")}
    assert len(sums) == 1
    for rule in ("sum", "beside"):
        record = workspace.job(rule).record
        assert record.violations == ()
        assert record.integrity == ()
    stat = (workspace.root / "many/1/1.txt").stat()
    assert (stat.st_nlink, stat.st_size) == (1, 2)


def test_rules_decide_for_themselves(workspace: Workspace) -> None:
    workspace.write("extra.txt", "extra\n")
    workspace.write(
        "Snakefile",
        """
        rule open:
            output: "open.txt"
            shell: "cat extra.txt > {output}"
        rule closed:
            output: "closed.txt"
            resources: hermetic=True
            shell: "ls > {output}"
        rule exempt:
            output: "exempt.txt"
            resources: hermetic=False
            shell: "cat extra.txt > {output}"
        rule run:
            output: "run.txt"
            run: shell("cp extra.txt {output}")
        """,
    )
    workspace.ok("open.txt", "closed.txt")
    assert (workspace.root / "closed.txt").read_text() == "closed.txt\n"
    assert workspace.job("open").record.isolation is None
    assert workspace.job("closed").record.isolation is not None
    workspace.ok("exempt.txt", *UNTRACED)
    done = workspace.fails("run.txt", *UNTRACED)
    assert "rule run cannot run hermetically: it takes the fork tier" in done.output
    assert not (workspace.root / "run.txt").exists()


def test_scripts_find_their_modules_and_nothing_else(workspace: Workspace) -> None:
    workspace.write("scripts/work.py", WORK_PY)
    workspace.write("rules/more.smk", "")
    workspace.write("scripts/helper.py", "VALUE = 'from a module beside the script'\n")
    workspace.write("scripts/secret.json", "{}")
    workspace.write("scripts/work.sh", WORK_SH.lstrip())
    workspace.write("wrap/environment.yaml", "channels: []\ndependencies: []\n")
    workspace.write("wrap/wrapper.py", "open(snakemake.output[0], 'w').write(snakemake.params.hi)")
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "out/script.txt", "out/bash.txt", "out/wrapped.txt"
        rule script:
            input: "Snakefile"
            output: text="out/script.txt"
            script: "rules/../scripts/work.py"
        rule bash:
            input: "out/script.txt"
            output: "out/bash.txt"
            script: "scripts/work.sh"
        rule wrap:
            input: "out/bash.txt"
            output: "out/wrapped.txt"
            params: hi="hi"
            wrapper: "wrap"
        """,
    )
    prefix = f"file://{workspace.root}/"
    workspace.ok(*UNTRACED, "--ray-environments", "host", "--wrapper-prefix", prefix)
    text = (workspace.root / "out/script.txt").read_text()
    seen, helper, tmpdir, metrics = text.splitlines()
    assert seen.split() == ["helper.py", "work.py", "work.sh"]
    assert helper == "from a module beside the script"
    assert tmpdir == "/tmp /tmp"
    assert metrics == "script"
    assert (workspace.root / "out/bash.txt").read_text() == f"{text}bash\n"
    assert (workspace.root / "out/wrapped.txt").read_text() == "hi"
    [metric] = workspace.job("script").record.metrics
    assert (metric.name, metric.value) == ("auc", 0.5)
    assert list((workspace.root / ".snakemake/scripts").iterdir()) == []


def test_a_rule_with_fixed_outputs_may_use_the_network(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule fetch:
            output: ensure("net.txt", sha256="01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b")
            shell: "exec 3<>/dev/tcp/127.0.0.1/{PORT} && echo > {output}"
        """,
    )
    path = workspace.root / "Snakefile"
    path.write_text(f"PORT = {_listening_port(workspace)}\n{path.read_text()}")
    workspace.ok(*UNTRACED)
    isolation = workspace.job("fetch").record.isolation
    assert isolation is not None
    assert isolation.open == ("clock", "network")
    assert "network" not in isolation.closed


WORK_PY = """
import helper, os, json, snakemake_repro
with snakemake_repro.track(snakemake) as run:
    run.log_metric("auc", 0.5)
with open(snakemake.output.text, "w") as f:
    print(*sorted(n for n in os.listdir("scripts") if n != "__pycache__"), file=f)
    print(helper.VALUE, file=f)
    print(snakemake.resources.tmpdir, os.environ["TMPDIR"], file=f)
    print(json.loads(os.environ["REPRO_JOB"])["rule"], file=f)
"""

WORK_SH = """
#!/bin/bash
cat "${snakemake_input[0]}" > "${snakemake_output[0]}"
echo "${snakemake[rule]}" >> "${snakemake_output[0]}"
"""

SLEEPER = """
rule sleep:
    input: "in.txt"
    output: "out/slept.txt"
    log: "logs/sleep.log"
    shell: "echo begun > {log}; touch {output}; sleep 7123 & wait"
"""


def _sleepers() -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if command == b"sleep\x007123\x00":
            found.append(int(path.parent.name))
    return found


def test_an_interrupted_run_leaves_nothing_but_logs(lonely: Workspace) -> None:
    lonely.write("in.txt", "in\n")
    lonely.write("Snakefile", SLEEPER)
    process = lonely.start(*UNTRACED)
    wait_for(_sleepers)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0, output
    wait_for(lambda: not _sleepers(), timeout=20)
    assert not (lonely.root / "out/slept.txt").exists()
    assert _nothing_is_left(lonely)


def test_a_killed_worker_leaves_no_process_and_its_job_is_repeated(lonely: Workspace) -> None:
    lonely.write("in.txt", "in\n")
    lonely.write("Snakefile", SLEEPER.replace("& wait", "& sleep 3; kill %1"))
    process = lonely.start(*UNTRACED)
    first = wait_for(_sleepers)
    [worker] = descendants(process.pid, "ray::execute")
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: not set(first) & set(_sleepers()), timeout=20)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert lonely.jobs("sleep")[-1].record.resubmission == 1
    assert _nothing_is_left(lonely)


TRACED = ("--ray-hermetic", "enforce")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


@needs_strace
def test_what_a_job_wanted_is_named(workspace: Workspace) -> None:
    workspace.write("config/extra.yaml", "a: 1\n")
    workspace.write("in.txt", "in\n")
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "out/train.txt", "out/tolerant.txt", "out/writer.txt", "out/quiet.txt"
        rule train:
            output: "out/train.txt"
            shell: "cat config/extra.yaml > {output}"
        rule tolerant:
            output: "out/tolerant.txt"
            shell: "test -e config/extra.yaml || touch {output}"
        rule writer:
            input: "in.txt"
            output: "out/writer.txt"
            shell: "(echo > {input}; echo > cache.txt; exec 3<>/dev/tcp/10.1.2.3/443) || touch {output}"
        rule quiet:
            input: "in.txt"
            output: "out/quiet.txt"
            shell: "cd config || true; python3 -c 'import json; print(open(\\"in.txt\\").read())' > {output}"
        """,
    )
    done = workspace.fails(*TRACED, "--keep-going")
    read = "read config/extra.yaml, which it does not declare"
    assert f"the command exited with status 1; it {read}" in done.output
    assert "Declare it, or let the rule run open with `resources: hermetic=False`." in done.output
    train, tolerant = workspace.job("train").record, workspace.job("tolerant").record
    assert train.violations == tolerant.violations == (read,)
    assert (tolerant.exit_code, tolerant.status) == (0, JobStatus.FAILED)
    assert workspace.job("writer").record.violations == (
        "tried to write in.txt, which it does not declare",
        "tried to write cache.txt, which it does not declare",
        "tried to reach 10.1.2.3, port 443",
    )
    quiet = workspace.job("quiet").record
    assert (quiet.violations, quiet.status) == ((), JobStatus.SUCCEEDED)
    assert quiet.isolation is not None
    assert (quiet.isolation.traced or "").startswith("strace ")
    assert quiet.use is not None
    assert quiet.use.max_rss_mb > 5


@needs_strace
def test_a_report_lets_jobs_be_and_names_what_they_did(workspace: Workspace) -> None:
    workspace.write("config/extra.yaml", "a: 1\n")
    workspace.write("scripts/helper.py", "VALUE = 1\n")
    workspace.write(
        "scripts/work.py",
        """
        import helper
        open(snakemake.output[0], "w").write(open("config/extra.yaml").read())
        """,
    )
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "out/train.txt", "out/script.txt"
        rule train:
            output: "out/train.txt"
            shell: "cat config/extra.yaml > {output}; cp {output} out/more.txt; mktemp; date +%Z"
        rule script:
            output: "out/script.txt"
            script: "scripts/work.py"
        """,
    )
    workspace.ok("--ray-hermetic", "report")
    train, script = workspace.job("train").record, workspace.job("script").record
    assert train.violations == (
        "read config/extra.yaml, which it does not declare",
        "wrote out/more.txt, which it does not declare",
    )
    assert script.violations == ("read config/extra.yaml, which it does not declare",)
    assert (workspace.root / "out/more.txt").read_text() == "a: 1\n"
    assert train.isolation is not None
    assert train.isolation.mode is IsolationMode.REPORT
    assert "files" in train.isolation.open
    assert "variables" in train.isolation.closed
