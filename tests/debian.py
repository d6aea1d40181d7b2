"""Debian's packages for tests that need more than Python's."""

import os
import subprocess


def install(packages: list[str]) -> None:
    """Install packages; SystemExit if apt cannot."""
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *command],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        if done.returncode:
            raise SystemExit(f"apt-get {command[0]} failed")
