"""Takes the picture of a page for the docs, with Chromium (tests/install_system.sh).

    python scripts/screenshot.py PAGE.html PICTURE.png [WIDTH HEIGHT]

Those are in pixels, of the page's upper part.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def main(page: Path, picture: Path, width: str = "1200", height: str = "1240") -> None:
    """Writes the upper WIDTH by HEIGHT pixels of a page."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        sys.exit("Chromium is needed: bash tests/install_system.sh")
    with tempfile.TemporaryDirectory(prefix="segtrail-screenshot-") as profile:
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={profile}", f"--window-size={width},{height}",
            f"--screenshot={picture.resolve()}", page.resolve().as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 5):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
