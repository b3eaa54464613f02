"""A small workspace: this repository's pipeline, flows and commands, with quick components.

The components here stand in for segtrail's own, which take minutes; DVC, Prefect, git, the
ledger, the store and the serving configuration are the real ones.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
import platforms

ROOT = Path(__file__).resolve().parents[2]
CODE = ("cli", "flows", "lineage", "model", "segtrail", "serving", "expectations")
FILES = ("dvc.yaml", "params.yaml", "requirements.lock", ".dvcignore", ".gitignore")
STAGES = ("examples", "validate", "transform", "train", "evaluate")

COMMON = """
    import json, os, sys, time
    from pathlib import Path
    from segtrail.errors import DataError
    from segtrail.files import sha256_file, write_json

    def begin(workspace, stage):
        with open(workspace.root / "calls.log", "a") as f:
            print(stage, file=f)
        print(f"{stage} speaks", flush=True)
        flag = workspace.root / ".segtrail" / f"{stage}.do"
        do = flag.read_text() if flag.exists() else ""
        if do == "fail":
            print("noise from a library", file=sys.stderr)
            raise DataError(f"{stage}: the images are upside down", "turn them round")
        if do == "crash":
            raise KeyError("a bug")
        if do == "killed once":
            flag.write_text("")
            os.kill(os.getpid(), 9)
        if do.startswith("hang"):
            (workspace.root / ".segtrail" / f"{stage}.pid").write_text(str(os.getpid()))
            time.sleep(120)
"""
COMPONENTS = {
    "ingest": """
        from components._common import *
        import subprocess
        from types import SimpleNamespace
        from segtrail import git
        def ingest(workspace, dataset, source=None, *, by=None, licence=None, replace=False,
                   remove=(), on_bad="reject"):
            begin(workspace, "ingest")
            text = Path(source).read_text()
            if "upside down" in text:
                raise DataError(f"{source}: the images are upside down", "turn them round")
            splits = workspace.dataset(dataset) / "splits.csv"
            added = [] if splits.read_text() == text else ["x"]
            splits.unlink()
            splits.write_text(text)
            subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", "data"], check=True)
            git.commit(workspace.root, ["data.dvc"], "Deliver")
            return SimpleNamespace(
                added=added, replaced=[], removed=[], regrouped=[], quarantined=[], images=1
            )
    """,
    "examples": """
        from components._common import *
        def make_examples(workspace, name):
            begin(workspace, "examples")
            out = workspace.artifacts(name) / "examples"
            out.mkdir(parents=True)
            text = (workspace.dataset("synthetic") / "splits.csv").read_text()
            (out / "manifest.parquet").write_text(text)
    """,
    "validate": """
        from components._common import *
        def validate_examples(workspace, name):
            begin(workspace, "validate")
            out = workspace.artifacts(name) / "validation"
            bad = "bad" in (workspace.artifacts(name) / "examples/manifest.parquet").read_text()
            failed = [{"expectation": "e", "says": "one image is bad", "images": ["x"]}] * bad
            write_json(out / "result.json", {"passed": not bad, "failed": failed})
    """,
    "transform": """
        from components._common import *
        def transform(workspace, name, runner="", runner_options=(), staging_folder=None):
            begin(workspace, "transform")
            write_json(workspace.artifacts(name) / "transform/statistics.json", {})
    """,
    "train": """
        from components._common import *
        from segtrail.params import load_recipe
        def train(workspace, name, resume=True):
            begin(workspace, "train")
            steps = load_recipe(workspace, name).training.steps
            write_json(workspace.artifacts(name) / "model/saved_model.pb", {"steps": steps})
            write_json(workspace.artifacts(name) / "training/run.json", {"steps": steps})
    """,
    "evaluate": """
        from components._common import *
        def evaluate(workspace, name):
            begin(workspace, "evaluate")
            write_json(workspace.artifacts(name) / "evaluation/metrics.json", {})
            write_json(workspace.artifacts(name) / "evaluation/per_image.parquet", [])
    """,
    "gate": """
        from components._common import *
        from segtrail.artifacts import Evaluation
        from segtrail.params import dump, load_recipe
        from segtrail.saved_model import digest
        def judge(workspace, name):
            begin(workspace, "gate")
            flag = workspace.scratch / "verdict"
            verdict = flag.read_text() if flag.exists() else "pass"
            says = "mean_iou is 0.1, below 0.7"
            rule = {"rule": "r", "verdict": verdict, "says": says, "decides": True}
            model = workspace.artifacts(name) / "model"
            out = {"verdict": verdict, "rules": [rule], "model_digest": digest(model)}
            out["champion"], out["forced"] = None, None
            out["evaluation"] = Evaluation.of(workspace, name).digests
            out["gate"] = dump(load_recipe(workspace, name).gate)
            write_json(workspace.artifacts(name) / "gate/verdict.json", out)
            return out
    """,
    "report": """
        from components._common import *
        def write_report(workspace, name):
            path = workspace.artifacts(name) / "gate/report.html"
            path.write_text("a report")
            return path
    """,
    "infra_validate": """
        from components._common import *
        from segtrail.params import dump, load_recipe
        from segtrail.saved_model import digest
        def infra_validate(workspace, name):
            begin(workspace, "infra-validate")
            flag = workspace.scratch / "limits"
            verdict = flag.read_text() if flag.exists() else "pass"
            says = "one image takes 900 ms"
            rule = {"rule": "limit", "verdict": verdict, "says": says, "decides": True}
            out = {"passed": True, "says": "", "verdict": verdict, "rules": [rule]}
            out["model_digest"] = digest(workspace.artifacts(name) / "model")
            out["limits"] = dump(load_recipe(workspace, name).gate.limits)
            write_json(workspace.artifacts(name) / "infra/result.json", out)
            return out
    """,
    "promote": """
        from components._common import *
        from types import SimpleNamespace
        from lineage import ledger
        from segtrail import git
        from segtrail.errors import RejectedError, StageError
        from segtrail.saved_model import digest
        from serving import config, store
        def promote(workspace, name, *, by=None, allow_dirty=False, again=None):
            begin(workspace, "promote")
            said = workspace.scratch / "rolled-back.jsonl"
            if said.exists():
                workspace.ledger(name).parent.mkdir(exist_ok=True)
                said.rename(workspace.ledger(name))
                raise RejectedError("rolled back", "--again")
            if git.dirty_paths(workspace.root) and not allow_dirty:
                raise StageError("not committed: code", "commit it, or --allow-dirty")
            version = max(store.versions(workspace.models, name), default=0) + 1
            model = workspace.artifacts(name) / "model"
            store.place(model, workspace.models, name, version, {})
            folder = workspace.models / name
            config.set_champion(workspace.models_config, name, folder, version)
            return SimpleNamespace(says=[f"v{version} serves"], changed=True)
        def approve(workspace, name, verdict, *, by, reason):
            from lineage import approvals
            path = workspace.ledger(name)
            known = approvals.find(ledger.read(path), verdict) if path.exists() else []
            if by in [each["by"] for each in known]:
                return None
            path.parent.mkdir(exist_ok=True)
            entry = ledger.append(
                path, "approved", version=None, model_digest=verdict["model_digest"], by=by,
                details=approvals.details(verdict, reason),
            )
            git.commit(workspace.root, [f"ledger/{name}.jsonl"], "Approve")
            return entry
        def show_canary(workspace, name, *, by=None, allow_dirty=False, again=None):
            begin(workspace, "canary")
            if (out := config.canary(workspace.models_config, name)) is not None:
                raise StageError(f"v{out} is out as a canary", "--confirm")
            model = workspace.artifacts(name) / "model"
            store.place(model, workspace.models, name, 2, {})
            config.set_canary(workspace.models_config, name, workspace.models / name, 2)
            return SimpleNamespace(says=["v2 is a canary"], changed=True)
        def recover(workspace, name=None):
            return []
        def reject(workspace, name, verdict, *, by=None):
            begin(workspace, "reject")
            path = workspace.ledger(name)
            digest = verdict["model_digest"]
            details = {"verdict": verdict["verdict"]}
            entry = ledger.append(
                path, "rejected", version=None, model_digest=digest, by=by, details=details
            )
            git.commit(workspace.root, [f"ledger/{name}.jsonl"], "Reject")
            return entry
    """,
}


class Small:
    """A workspace in a temporary folder, and how to work in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "SEGTRAIL_"))},
            "PYTHONPATH": str(root),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "true",
        }

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=T", "-c", "user.email=t@localhost", *arguments]
        return self.do(*command).stdout.rstrip("\n")

    def do(
        self, *command: str, check: bool = True, **more: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.root, env={**self.env, **more}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def segtrail(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.do(sys.executable, "-m", "cli", *arguments, check=False, **more)

    def dvc(self, *arguments: str) -> str:
        return self.do(sys.executable, "-m", "dvc", *arguments).stdout

    def deliver(self, text: str = "image,split\na,train\n") -> None:
        """Changes `data/synthetic` as an ingestion does."""
        splits = self.root / "data/synthetic/splits.csv"
        splits.parent.mkdir(parents=True, exist_ok=True)
        splits.unlink(missing_ok=True)
        splits.write_text(text)
        self.dvc("add", "--quiet", "data")
        self.git("add", "data.dvc")
        self.git("commit", "--quiet", "-m", "Deliver")

    def edit(self, path: str, change: Callable[[str], str], commit: bool = True) -> None:
        target = self.root / path
        old = target.read_text()
        new = change(old)
        assert new != old
        target.write_text(new)
        if commit:
            self.git("add", path)
            self.git("commit", "--quiet", "-m", f"Change {path}")

    def set_param(self, path: str, value: object, commit: bool = True) -> None:
        """Sets a value of params.yaml, such as `recipes.demo.training.steps`."""

        def change(text: str) -> str:
            params = node = yaml.safe_load(text)
            *parents, last = (int(p) if p.isdigit() else p for p in path.split("."))
            for part in parents:
                node = node[part]
            assert (node.get(last) if isinstance(node, dict) else node[last]) != value
            node[last] = value
            return yaml.safe_dump(params)

        self.edit("params.yaml", change, commit)

    def say(self, stage: str, what: str) -> None:
        """Makes a stage `fail`, `crash`, `hang` or, with nothing, work again."""
        flag = self.root / ".segtrail" / f"{stage}.do"
        flag.parent.mkdir(exist_ok=True)
        flag.write_text(what)

    def calls(self) -> list[str]:
        """Returns the components that ran since the last time this was asked."""
        log = self.root / "calls.log"
        lines = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A workspace in git with a delivery; nothing has run."""
    root = tmp_path_factory.mktemp("template") / "ws"
    root.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "models", "models.config")
    for name in CODE:
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in FILES:
        shutil.copy(ROOT / name, root / name)
    (root / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, root / ".dvc" / name)
    (root / ".gitignore").write_text((root / ".gitignore").read_text() + "/calls.log\n")
    components = root / "components"
    components.mkdir()
    (components / "__init__.py").touch()
    (components / "_common.py").write_text(textwrap.dedent(COMMON))
    for name, text in COMPONENTS.items():
        (components / f"{name}.py").write_text(textwrap.dedent(text))
    for parts in ("validating", "transforming", "training", "scoring"):
        (components / parts).mkdir()
        (components / parts / "__init__.py").touch()
    runners = "transforming/runners.py"  # the command line names them
    shutil.copy(ROOT / "components" / runners, components / runners)
    (components / "scoring/answers.py").touch()  # a dependency of evaluate
    small = Small(root)
    small.git("init", "--quiet", "-b", "main")
    small.git("add", "--all")
    small.git("commit", "--quiet", "-m", "Start")
    small.deliver()
    return small


@pytest.fixture
def small(template: Small, tmp_path: Path) -> Small:
    """A copy of the template that the test may change."""
    root = tmp_path / "ws"
    shutil.copytree(template.root, root, symlinks=True)
    return Small(root)


@pytest.fixture(scope="session")
def ran(template: Small, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A workspace in which all DVC stages of `demo` have run; not to be changed."""
    root = tmp_path_factory.mktemp("ran") / "ws"
    shutil.copytree(template.root, root, symlinks=True)
    small = Small(root)
    small.dvc("repro", *(f"{stage}@demo" for stage in STAGES))
    small.git("add", "dvc.lock")
    small.git("commit", "--quiet", "-m", "Run demo")
    assert small.calls() == list(STAGES)
    return small


@pytest.fixture
def done(ran: Small, tmp_path: Path) -> Small:
    """A copy of `ran` that the test may change."""
    root = tmp_path / "ws"
    shutil.copytree(ran.root, root, symlinks=True)
    return Small(root)


@contextlib.contextmanager
def running(
    command: list[str], log: Path, env: dict[str, str], cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command for the time of the block, and ends it and its children."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(what: Callable[[], bool], seconds: float) -> None:
    """Waits until `what` is true; a refused connection or a missing file is not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if what():
                return
        time.sleep(0.2)
    raise AssertionError(f"not after {seconds} s")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yields the environment that names a running Prefect server."""
    folder = tmp_path_factory.mktemp("prefect")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder / "server.log", {**os.environ, **env}, folder):
        health = f"http://127.0.0.1:{port}/api/health"
        wait_for(lambda: urllib.request.urlopen(health, timeout=5).status == 200, 180)
        yield env


@pytest.fixture
def work_beside() -> Callable[..., contextlib.AbstractContextManager[subprocess.Popen[bytes]]]:
    """The function `running`, for tests."""
    return running


@pytest.fixture
def patiently() -> Callable[[Callable[[], bool], float], None]:
    """The function `wait_for`, for tests."""
    return wait_for


@pytest.fixture
def places() -> Iterator[Callable[..., platforms.Place]]:
    """Makes workspaces for `segtrail up`, and stops whatever was started in them."""
    with platforms.making() as make:
        yield make
