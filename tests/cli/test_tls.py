"""Commands that talk to a server over TLS: the embedded one, which knows its clients."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import miniature
import pytest
import yaml
from certificates import Authority
from google.protobuf import text_format
from miniature import RECIPE

pytest.importorskip("tensorflow_serving")

from cli import main
from components.promote import promote
from lineage import ledger
from segtrail import git
from segtrail.errors import ServingError
from segtrail.files import write_text
from segtrail.workspace import Workspace
from serving import launch, protocol
from serving.tls import Tls

pytestmark = pytest.mark.slow
NAME = "models.example"


@dataclass(frozen=True)
class Secured:
    """A workspace whose v1 is served over TLS; `tls/` in it has the client's files."""

    workspace: Workspace
    target: str
    image: Path
    other_model: Path


@pytest.fixture(scope="module")
def secured(template: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
        workspace = miniature.copy(template, folder / "workspace")
        models = miniature.save_models(folder / "models", [100, 120])
        miniature.retrain(workspace, threshold=100, saved_model=models[100])
        promote(workspace, RECIPE)
        tls, more = certificates(workspace.root / "tls", folder)
        with launch.running_server(
            RECIPE, config=workspace.models_config, log=folder / "log", more=more, tls=tls
        ) as server:
            image = next((workspace.dataset("tiny") / "images").glob("*.png"))
            yield Secured(workspace, server.target, image, models[120])


def certificates(ours: Path, servers: Path) -> tuple[Tls, list[str]]:
    """Writes the client's files, and the server's; returns both sides' use of them."""
    authority = Authority()
    server, client = authority.sign(NAME), authority.sign("app")
    ours.mkdir()
    files = {"ca": authority.pem, "key": client.key, "certificate": client.certificate}
    for name, content in files.items():
        (ours / name).write_bytes(content)
    ssl = protocol.SSLConfig(
        server_key=server.key.decode(), server_cert=server.certificate.decode(),
        custom_ca=authority.pem.decode(), client_verify=True,
    )  # fmt: skip
    (servers / "ssl.config").write_text(text_format.MessageToString(ssl))
    return Tls(**files, name=NAME), [f"--ssl_config_file={servers}/ssl.config"]


@pytest.fixture
def say(secured: Secured, monkeypatch, capsys):
    """Runs a command in the workspace; returns its exit code and what it says."""
    monkeypatch.chdir(secured.workspace.root)

    def run(*arguments: str) -> tuple[int, str]:
        code = main._run(list(arguments))
        out, err = capsys.readouterr()
        return code, out + err

    return run


def configure(secured: Secured, tls: dict[str, str] | None) -> None:
    """Says in params.yaml where the recipe is served, and how."""
    path = secured.workspace.params
    params = yaml.safe_load(path.read_text())
    params["recipes"][RECIPE]["serving"] = {"target": secured.target, "tls": tls}
    write_text(path, yaml.safe_dump(params))


PATHS = {"ca": "tls/ca", "key": "tls/key", "certificate": "tls/certificate", "name": NAME}
OPTIONS = (
    "--tls-ca", "tls/ca", "--tls-key", "tls/key", "--tls-certificate", "tls/certificate",
    "--tls-name", NAME,
)  # fmt: skip
IN_CLEAR = "the server speaks TLS; this client does not"


def test_a_recipe_says_how_its_server_is_reached(secured, say, tmp_path, monkeypatch) -> None:
    configure(secured, PATHS)
    code, said = say("status")
    assert (code, f"{secured.target}: v1" in said) == (0, True)
    below = secured.workspace.root / "ledger"
    monkeypatch.chdir(below)  # paths count from the workspace, wherever a command is given
    asked = ("predict", str(secured.image), "--recipe", RECIPE, "--out", str(tmp_path))
    code, said = say(*asked)
    assert code == 0, said
    assert f"{RECIPE} v1" in said
    assert say(*asked, "--target", secured.target)[0] == 0
    assert say(*asked, "--target", secured.target.replace("127.0.0.1", "localhost"))[0] == 0
    code, said = say("audit", RECIPE, "--quick", "--target", secured.target)
    (line,) = [line for line in said.splitlines() if "live server" in line]
    assert "2 golden images answered as evaluated" in line


def test_options_say_it_for_any_target(secured, say, tmp_path) -> None:
    configure(secured, None)
    asked = ("predict", str(secured.image), "--recipe", RECIPE, "--out", str(tmp_path))
    code, said = say(*asked, "--target", secured.target, *OPTIONS)
    assert code == 0, said
    assert say(*asked, *OPTIONS)[0] == 0  # of the recipe's own
    code, said = say("audit", RECIPE, "--quick", "--target", secured.target, *OPTIONS)
    assert "2 golden images answered as evaluated" in said
    code, said = say("audit", RECIPE, *OPTIONS)
    assert (code, "are of --target" in said) == (2, True)


def test_without_either_each_command_says_what_to_give(secured, say, tmp_path) -> None:
    configure(secured, None)
    code, said = say("status")
    assert (code, f"{secured.target}: {IN_CLEAR}" in said) == (0, True)
    code, said = say("predict", str(secured.image), "--recipe", RECIPE, "--out", str(tmp_path))
    assert code == 1
    assert IN_CLEAR in said
    assert "--tls-ca FILE" in said
    code, said = say("audit", RECIPE, "--quick", "--target", secured.target)
    assert code == 5
    assert f"{IN_CLEAR}: --tls-ca FILE" in " ".join(said.split())


def test_a_file_that_is_not_there_is_told_with_its_field(secured, say) -> None:
    configure(secured, PATHS | {"ca": "tls/none"})
    field = f"params.yaml: recipes.{RECIPE}.serving.tls: "
    missing = f"{secured.workspace.root / 'tls/none'}: cannot be read"
    code, said = say("predict", str(secured.image), "--recipe", RECIPE)
    assert (code, field + missing in said) == (1, True)
    assert field + missing in say("status")[1]


def test_a_promotion_is_confirmed_by_a_server_that_speaks_tls(secured) -> None:
    """The last test of this server: it serves v2 after it."""
    workspace = secured.workspace
    configure(secured, PATHS | {"ca": "tls/none"})
    git.commit(workspace.root, ["params.yaml"], "Serve over TLS")
    miniature.retrain(workspace, threshold=120, saved_model=secured.other_model)
    with pytest.raises(ServingError, match="tls/none: cannot be read"):
        promote(workspace, RECIPE)
    assert ledger.open_intent(ledger.read(workspace.ledger(RECIPE))) is None
    (workspace.root / "tls/none").write_bytes((workspace.root / "tls/ca").read_bytes())
    promote(workspace, RECIPE)
    done = ledger.read(workspace.ledger(RECIPE))[-1].details
    assert done["confirmed"] == f"{secured.target} serves v2"
