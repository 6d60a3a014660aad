"""Starts the Chromium that the browser tests will use and prints where it is; status 1 if none starts."""

import shutil
import sys

from playwright.sync_api import Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    installed = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        for path in (installed, playwright.chromium.executable_path):
            try:
                playwright.chromium.launch(executable_path=path, args=["--no-sandbox"]).close()
            except Error as error:
                print(error, file=sys.stderr)
                continue
            print(path)
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
