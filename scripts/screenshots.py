"""Makes the pictures of docs/images that show a real workspace, with Chromium.

    python scripts/screenshots.py WORKSPACE RECIPE NEW_IMAGES IMAGE

WORKSPACE has a promoted RECIPE, its gate's report and some history; NEW_IMAGES is a folder to look
for drift in, IMAGE one to draw outlines on. Nothing but its scratch folder is written there.
"""

from __future__ import annotations

import html
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import screenshot  # beside this file

OUT = Path(__file__).resolve().parents[1] / "docs/images"
MOST_BYTES = 300_000
TERMINAL = """<meta charset=utf-8><style>
body {{ margin: 16px; background: #10191a; color: #dfe9e8; font: 12px/1.5 monospace }}
div {{ white-space: pre-wrap; padding-left: {last}ch; text-indent: -{last}ch; min-height: 1.5em }}
</style><div>$ {command}</div>{lines}"""


def main(workspace: Path, recipe: str, new_images: Path, image: Path) -> None:
    """Writes report, certificate, drift, history and outlines."""
    sys.path.insert(0, str(OUT.parents[1]))
    with tempfile.TemporaryDirectory(prefix="segtrail-screenshots-") as temporary:
        made = Path(temporary)
        _segtrail(workspace, "audit", recipe, "--html", str(made / "audit.html"))
        drift = ("--images", str(new_images.resolve()), "--out", str(made / "drift"))
        _segtrail(workspace, "data", "drift", "--recipe", recipe, *drift)
        said = _segtrail(workspace, "history", recipe, "--events")
        lines = said.strip().splitlines()
        last = lines[0].index("why")  # where the table's last column begins, and is wrapped
        page = TERMINAL.format(
            last=last,
            command=f"segtrail history {recipe} --events",
            lines="".join(f"<div>{html.escape(line)}</div>" for line in lines),
        )
        (made / "history.html").write_text(page, encoding="utf-8")
        rows = 1 + sum(1 + max(len(line) - last, 0) // 36 for line in lines)
        report = workspace / "artifacts" / recipe / "gate" / "report.html"
        for name, source, height in (
            ("report", report, 1240),
            ("certificate", made / "audit.html", 1240),
            ("drift", made / "drift" / "report.html", 1240),
            ("history", made / "history.html", 32 + 18 * rows),
        ):
            screenshot.main(source, OUT / f"{name}.png", "1200", str(height))
    _draw_outlines(workspace, recipe, image)
    for name in ("report", "certificate", "drift", "history", "outlines"):
        size = (OUT / f"{name}.png").stat().st_size
        print(f"{name}.png: {size / 1000:.0f} kB")
        if size > MOST_BYTES:
            sys.exit(f"{name}.png: larger than {MOST_BYTES // 1000} kB: take less of the page")


def _segtrail(workspace: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"segtrail {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def _draw_outlines(workspace: Path, recipe: str, image: Path) -> None:
    """Writes an image beside itself with the outlines that a server of the recipe answers."""
    from serving.client import SegmentationClient
    from serving.launch import running_server

    config = workspace / "serving/models.config"
    with (
        running_server(
            recipe, log=workspace / ".segtrail/screenshots.log", config=config
        ) as server,
        SegmentationClient(server.target, recipe) as client,
    ):
        found = client.segment(image)
    picture = cv2.imread(str(image))
    drawn = picture.copy()
    cv2.drawContours(drawn, found.contours, -1, (0, 255, 0), 1)
    cv2.imwrite(str(OUT / "outlines.png"), cv2.hconcat([picture, drawn]))
    print(f"{image.name}: {found.count} objects")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
