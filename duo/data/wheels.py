"""Wheels of the package index, each pinned by its hash: fetched by pip, under the user's own configuration, and kept.

They carry what the default experiment reads: text, code, questions of tasks, and a pretrained model.
"""

import hashlib
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from duo.errors import InputError
from duo.groups import Package
from duo.tables import files
from duo.tables.data import CACHE

log = logging.getLogger(__name__)


def fetch(wheel: Package) -> Path:
    """Path of the wheel's file, from the cache or downloaded by pip.

    InputError where pip can't get it or where its bytes have another sha256 than the pinned one.
    """
    if _is_cached(wheel):
        return _cached(wheel)
    with tempfile.TemporaryDirectory() as folder:
        (downloaded,) = _pip_download([wheel], folder)
        sha256 = _sha256(downloaded)
        if sha256 != wheel.sha256:
            raise InputError(
                f"wheel {wheel.name} {wheel.version}: sha256 should be {wheel.sha256}, but pip delivered {sha256}; "
                "nothing was kept"
            )
        _keep(downloaded, wheel)
    return _cached(wheel)


@contextmanager
def opened(wheel: Package, path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive that a wheel's file is. InputError where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise InputError(f"wheel {wheel.name} {wheel.version}: no wheel ({error}); check its sha256") from None


def fetch_together(wheels: Sequence[Package]) -> None:
    """Bring those that are missing into the cache by one call of pip, which takes half a second to start.

    One that is wrong is left to `fetch`, which says what is wrong with it.
    """
    missing = {wheel.name: wheel for wheel in wheels if not _is_cached(wheel)}  # pip takes one version of each
    if len(missing) < 2:
        return
    by_sha256 = {wheel.sha256: wheel for wheel in missing.values()}
    with tempfile.TemporaryDirectory() as folder:
        try:
            downloaded = _pip_download(list(missing.values()), folder)
        except InputError:
            return
        for path in downloaded:
            if wheel := by_sha256.get(_sha256(path)):
                _keep(path, wheel)


def _cached(wheel: Package) -> Path:
    return CACHE.path(name=f"wheels/{wheel.name}-{wheel.version}.whl")


def _is_cached(wheel: Package) -> bool:
    return _cached(wheel).exists() and _sha256(_cached(wheel)) == wheel.sha256


def _keep(downloaded: Path, wheel: Package) -> None:
    with files.atomic(_cached(wheel)) as temporary:
        shutil.copyfile(downloaded, temporary)


def _pip_download(wanted: Sequence[Package], folder: str) -> list[Path]:
    """Paths of wheels that pip downloaded into `folder`, under the user's own pip configuration.

    Only wheels for any platform are taken, so that the files are the same on every machine.
    """
    requirements = [f"{wheel.name}=={wheel.version}" for wheel in wanted]
    requirement = ", ".join(requirements)
    log.info("pip downloads %s", requirement)
    pure = ["--only-binary", ":all:", "--implementation", "py", "--abi", "none", "--platform", "any"]
    pip = [sys.executable, "-m", "pip", "download", "--no-input", "--no-deps", *pure]
    ran = subprocess.run([*pip, "--dest", folder, *requirements], capture_output=True, text=True)
    wheels = list(Path(folder).glob("*.whl"))
    if ran.returncode != 0 or len(wheels) != len(wanted):
        reasons = (
            [line for line in ran.stderr.splitlines() if "error" in line.lower()]
            or ran.stderr.splitlines()
            or ["no reason given"]
        )
        if "No module named pip" in ran.stderr:
            remedy = "`python -m ensurepip` puts pip into this environment"
        else:
            remedy = "check its name and version, the network and pip's configuration"
        places = ", ".join(str(_cached(wheel)) for wheel in wanted)
        raise InputError(
            f"wheel {requirement}: pip could not download it ({reasons[-1].strip()}); {remedy}; or put the file there "
            f"by hand, as {places}"
        )
    return wheels


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
