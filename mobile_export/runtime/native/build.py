"""Compile the native runner, for this machine or for 64-bit Arm, and keep it in a cache.

The wheel of executorch carries its runtime as C++ libraries with their headers. For Arm the wheel
of the same version for aarch64 is downloaded and unpacked beside the runner; Debian's cross
compiler brings the C and C++ libraries that the emulator needs.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path

from core.errors import BadInput

ARM64_WHEEL = "manylinux_2_28_aarch64"
# Of that wheel for Python 3.11, 3.12 and 3.13, as PyPI lists them.
ARM64_SHA256 = {
    "1.5.1": (
        "8ee02348a3ea80ddf770822911ebf78da616b73afce0fbaaa79f23311c88c66a",
        "2c177f7922354a8a0d6111628c954519b87549598640e5e0042bef137b4cb83c",
        "685a8d85b319fc99f2611a5e0ecf598755a91cf5d39a536e057dea60cd8e9682",
    )
}
SYSROOT = Path("/usr/aarch64-linux-gnu")  # where Debian's cross compiler puts Arm's libc
# What a phone has: an in-order core of 2012, the first with dot products, and one of 2018.
CORES = ("cortex-a53", "cortex-a76")
LIBRARIES = (
    "executorch",
    "executorch_backend_xnnpack",
    "executorch_kernels_optimized",
    "executorch_kernels_quantized",
    "executorch_threadpool",
)
# What the wheel's own CMake package asks of whoever compiles against it.
DEFINITIONS = ("C10_USING_CUSTOM_GENERATED_MACROS", "ET_EVENT_TRACER_ENABLED", "ET_USE_THREADPOOL")


@dataclass(frozen=True)
class Tools:
    """A compiler and the executorch package that it compiles against."""

    compiler: str
    package: Path


def host_command() -> list[str]:
    """The runner for this machine. Raises ``BadInput`` where it cannot be built."""
    _require_linux()
    compiler = _found({"g++": "g++"}, "the native runner")[0]
    return [str(_built("host", Tools(compiler, _host_package())))]


def arm64_command(core: str) -> list[str]:
    """The runner for Arm under emulation of one of ``CORES``.

    Raises ``BadInput`` where Debian's packages or executorch's aarch64 wheel are not to be had.
    """
    _require_linux()
    compiler, emulator = _found(
        {
            "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
            "qemu-aarch64-static": "qemu-user-static",
        },
        "running Arm code",
    )
    package = _arm64_package()
    runner = _built("arm64", Tools(compiler, package))
    return [emulator, "-L", str(SYSROOT), "-cpu", core, str(runner)]


def cache() -> Path:
    """Where built runners are kept, by version: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "action-mobile" / f"executorch-{metadata.version('executorch')}"


def _require_linux() -> None:
    if sys.platform != "linux":
        raise BadInput(
            f"the native runner is built on Linux alone, this is {platform.system()}: leave it out"
        )


def _found(packages: dict[str, str], purpose: str) -> list[str]:
    """Paths of programs, given with the Debian package of each."""
    missing = [package for name, package in packages.items() if shutil.which(name) is None]
    if missing:
        raise BadInput(
            f"{purpose} needs packages that are missing: apt-get install {' '.join(missing)}"
        )
    return [shutil.which(name) or name for name in packages]


def _built(machine: str, tools: Tools) -> Path:
    """The runner of this source and compiler; compiled unless the cache has it."""
    source = resources.files(__package__).joinpath("runner.cpp").read_bytes()
    version = subprocess.run([tools.compiler, "--version"], capture_output=True).stdout
    key = hashlib.sha256(source + version + str(tools.package).encode()).hexdigest()[:16]
    final = cache() / f"runner-{machine}-{key}"
    if final.exists():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent) as folder:
        code, made = Path(folder, "runner.cpp"), Path(folder, "runner")
        code.write_bytes(source)
        done = subprocess.run(_compile(tools, code, made), capture_output=True, text=True)
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no reason"]
            raise BadInput(f"{tools.compiler} cannot compile the native runner ({lines[0][:200]})")
        os.replace(made, final)
    return final


def _compile(tools: Tools, source: Path, made: Path) -> list[str]:
    include, libraries = tools.package / "include", tools.package / "lib"
    return [
        tools.compiler, "-std=c++17", "-O2", "-w", str(source), "-o", str(made),
        f"-I{include}", f"-I{include}/executorch/runtime/core/portable_type/c10",
        *(f"-D{name}" for name in DEFINITIONS),
        f"-L{libraries}", f"-Wl,-rpath,{libraries}",
        "-Wl,--no-as-needed",  # backends and kernels register themselves: nothing refers to them
        *(f"-l{name}" for name in LIBRARIES),
        "-Wl,--allow-shlib-undefined",
    ]  # fmt: skip


def _host_package() -> Path:
    """Where executorch is installed: without an ``__init__`` it may have many roots."""
    spec = find_spec("executorch")
    for root in (spec and spec.submodule_search_locations) or ():
        if (Path(root) / "include").is_dir():
            return Path(root)
    raise BadInput("the installed executorch has no C++ headers: install its wheel for Linux again")


def _arm64_package() -> Path:
    """The unpacked package of executorch's aarch64 wheel, downloaded unless the cache has it."""
    final = cache() / "aarch64"
    package = final / "executorch"
    if package.exists():
        return package
    final.parent.mkdir(parents=True, exist_ok=True)
    version = metadata.version("executorch")
    wanted = f"executorch=={version}"
    if version not in ARM64_SHA256:
        raise BadInput(f"no hash of the {ARM64_WHEEL} wheel of {wanted} is known: install 1.5.1")
    with tempfile.TemporaryDirectory(dir=final.parent) as folder:
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in ARM64_SHA256[version])
        Path(folder, "wheel.txt").write_text(f"{wanted} {hashes}\n")
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder,
            "--platform", ARM64_WHEEL, "--only-binary=:all:", "--require-hashes",
            "--requirement", str(Path(folder, "wheel.txt")),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            line = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise BadInput(
                f"the {ARM64_WHEEL} wheel of {wanted} cannot be downloaded ({line[:160]}): the Arm "
                "check needs a network once"
            )
        unpacked = Path(folder, "unpacked")
        with zipfile.ZipFile(wheels[0]) as wheel:
            parts = ("executorch/lib/", "executorch/include/")
            wheel.extractall(unpacked, [n for n in wheel.namelist() if n.startswith(parts)])
        try:
            os.replace(unpacked, final)
        except OSError:
            if not package.exists():  # else another process was quicker
                raise
    return package
