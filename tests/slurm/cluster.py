"""A real Slurm of one node on loopback, for tests: Debian's slurm-wlm and munge.

Needs root and a machine without a Slurm of its own. Two character devices stand in for GPUs.
`python tests/slurm/cluster.py install` installs the packages; `start FOLDER` and
`stop FOLDER` are for trying things by hand. Only what was started here is stopped.
"""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import debian

PACKAGES = ["slurm-wlm", "munge"]
# Whatever the machine has: the profile asks for jobs of up to 4 cores.
CPUS = 4
GPUS = 2
MEMORY_MB = 16000
# Jobs lose SLURM_CONF on their way, so the files have to be where Slurm looks.
ETC = Path("/etc/slurm")

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={port}
SlurmdPort={slurmd_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
MinJobAge=900
KillWait=5
OverTimeLimit=0
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""
GRES = "NodeName={host} Name=gpu File={folder}/gpu[0-{last}]\n"


def refuse_elsewhere() -> None:
    """Leave machines alone that have a Slurm, or whose administrator we are not."""
    if os.geteuid() != 0:
        raise SystemExit("a Slurm of one's own needs root")
    if (ETC / "slurm.conf").exists():
        raise SystemExit(f"{ETC}/slurm.conf: this machine has a Slurm already")


def install() -> None:
    """Install the packages, unless they are there."""
    refuse_elsewhere()
    if all(map(shutil.which, ("slurmctld", "slurmd", "munged"))):
        return
    debian.install(PACKAGES)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Cluster:
    """The daemons of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().split(".")[0]

    @staticmethod
    def command(*arguments: str) -> str:
        """Run one of Slurm's commands and return what it prints."""
        done = subprocess.run(arguments, check=True, text=True, stdout=subprocess.PIPE, timeout=60)
        return done.stdout

    def start(self) -> None:
        refuse_elsewhere()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        folder = self.folder
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir(parents=True)
        # munged is not root, and pytest's folders are closed.
        for path in (folder, *folder.parents):
            path.chmod(path.stat().st_mode | 0o001)
        self._munge()
        for index in range(GPUS):
            os.mknod(folder / f"gpu{index}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        fields = {
            "host": self.host, "folder": folder, "cpus": CPUS, "memory": MEMORY_MB,
            "gpus": GPUS, "last": GPUS - 1, "port": free_port(), "slurmd_port": free_port(),
        }  # fmt: skip
        ETC.mkdir(exist_ok=True)
        for name, text in (("gres.conf", GRES), ("slurm.conf", CONF)):
            (folder / name).write_text(text.format(**fields))
            (ETC / name).symlink_to(folder / name)
        run("slurmctld")
        run("slurmd", "-N", self.host)
        self.wait_for("idle")

    def _munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        for path in (folder, key):
            shutil.chown(path, "munge", "munge")
        run(
            *("setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"),
            *("munged", "--force", f"--key-file={key}", f"--socket={folder}/socket"),
            *(f"--{what}={folder}/{what}" for what in ("pid-file", "log-file", "seed-file")),
        )

    def wait_for(self, *states: str, seconds: float = 60) -> None:
        """Wait until the node is in one of these states."""
        deadline = time.monotonic() + seconds
        while (state := self.state()) not in states:
            if time.monotonic() > deadline:
                raise SystemExit(f"the node is {state}: look into {self.folder}/slurmctld.log")
            time.sleep(0.2)

    def state(self) -> str:
        try:
            return self.command("sinfo", "-h", "-p", "cpu", "-o", "%T").strip()
        except (OSError, subprocess.SubprocessError):
            return "unknown"

    def completed(self) -> list[dict[str, str]]:
        """The jobs that ended, in that order, by Slurm's own record (jobcomp/filetxt)."""
        path = self.folder / "completed.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [dict(field.split("=", 1) for field in line.split()) for line in lines]

    def stop(self) -> None:
        """Cancel all jobs and end the daemons, by the process numbers that they wrote."""
        if self.state() != "unknown":
            self.command("scancel", "--user=root")
            self.wait_for("idle", "drained")
        for name in ("slurmd.pid", "slurmctld.pid", "munge/pid-file"):
            end(self.folder / name)
        for name in ("gres.conf", "slurm.conf"):
            if (ETC / name).is_symlink() and (ETC / name).readlink() == self.folder / name:
                (ETC / name).unlink()


def run(*command: str) -> None:
    subprocess.run(command, check=True, cwd="/", stdin=subprocess.DEVNULL)


def end(pid_file: Path) -> None:
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    action, *folder = sys.argv[1:]
    if action == "install":
        install()
    elif action == "start":
        Cluster(Path(folder[0]).absolute()).start()
    elif action == "stop":
        Cluster(Path(folder[0]).absolute()).stop()
