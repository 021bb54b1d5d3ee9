"""A cluster on one machine: SLURM with several nodes, PostgreSQL and an MLflow server on 127.0.0.1.

Every node is a `slurmd` in UTS and PID namespaces of its own, so that host names and process numbers differ as they do
between machines; the disk is shared. Needs root and Debian's packages (`PACKAGES`). Ends only what it has started.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

PACKAGES = {
    "munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client", "unshare": "util-linux",
}  # fmt: skip
ACCOUNTING = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server"}
PATIENCE = 120.0
OWN = Path(__file__).resolve().parents[2]


def what_is_missing(*, accounting: bool) -> str:
    """Return why no cluster can be had here; empty if one can."""
    if not hasattr(os, "geteuid") or os.geteuid():
        return "the trial cluster needs root"
    wanted = PACKAGES | (ACCOUNTING if accounting else {})
    lacking = [package for command, package in wanted.items() if not shutil.which(command)]
    lacking += [] if _postgres() else ["postgresql"]
    if lacking:
        return f"the trial cluster needs: apt-get install {' '.join(lacking)}"
    for module in ("psycopg2", "submitit"):
        if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            return "the trial cluster needs: pip install psycopg2-binary hydra-submitit-launcher"
    probe = ["unshare", "--uts", "--pid", "--mount", "--fork", "--mount-proc", "true"]
    return "" if not subprocess.run(probe, capture_output=True, check=False).returncode else "no namespaces here"


class VirtualCluster:
    """Daemons by name, started and ended one by one."""

    def __init__(self, *, accounting: bool, nodes: int = 3) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mia-cluster-", dir="/tmp"))
        self.folder.chmod(0o755)  # PostgreSQL runs as a user of its own
        for name in ("state", "log", "shared"):
            (self.folder / name).mkdir()
        self.accounting = accounting
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        names = ["slurmctld", "slurmdbd", "maria", "postgres", "mlflow", *self.nodes]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.uri = f"http://127.0.0.1:{self.ports['mlflow']}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find the cluster, its nodes' daemons included."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "PYTEST_"))}
        return clean | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PYTHONPATH": str(OWN),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }

    def up(self) -> None:
        """Start everything."""
        self._munge_up()
        self._configure()
        if self.accounting:
            self._accounts_up()
        self._start("slurmctld", "slurmctld", "-D")
        for node in self.nodes:
            self.node_up(node)
        self.wait(lambda: self.ask("sinfo", "-hNt", "idle").count("\n") == len(self.nodes), "idle nodes")
        self.postgres_up()
        self.mlflow_up()

    def down(self) -> None:
        """End everything, the latest first, and remove what it left."""
        for name in reversed(list(self._processes)):
            self.end(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- its parts ---

    def node_up(self, node: str) -> None:
        """Bring a node to life."""
        (self.folder / f"spool.{node}").mkdir(exist_ok=True)
        own = ["unshare", "--uts", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
        self._start(node, *own, "sh", "-c", f"hostname {node}; exec slurmd -D -N {node}")

    def postgres_up(self) -> None:
        """Start PostgreSQL, with a database for MLflow."""
        data, binaries = self.folder / "postgres", _postgres()
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        if not data.exists():
            data.mkdir()
            shutil.chown(data, "postgres", "postgres")
            self._do(*as_postgres, f"{binaries}/initdb", "-D", data, "-A", "trust")
            with (data / "postgresql.conf").open("a") as file:
                port = self.ports["postgres"]
                file.write(f"listen_addresses='127.0.0.1'\nport={port}\nunix_socket_directories=''\nfsync=off\n")
        self._start("postgres", *as_postgres, f"{binaries}/postgres", "-D", data)
        self.wait(self._has_database, "PostgreSQL")

    def _has_database(self) -> bool:
        try:
            with closing(self.connect("postgres")) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'mlflow'")
                if cursor.fetchone() is None:
                    cursor.execute("CREATE DATABASE mlflow")
        except OSError:
            return False
        return True

    def connect(self, database: str = "mlflow"):
        """Connect to PostgreSQL."""
        import psycopg2

        try:
            found = psycopg2.connect(host="127.0.0.1", port=self.ports["postgres"], user="postgres", dbname=database)
        except psycopg2.OperationalError as error:
            raise ConnectionError(str(error)) from error
        found.autocommit = True
        return found

    def mlflow_up(self) -> None:
        """Start the MLflow server."""
        store = f"postgresql+psycopg2://postgres@127.0.0.1:{self.ports['postgres']}/mlflow"
        self._start(
            "mlflow", sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store,
            "--artifacts-destination", self.folder / "artifacts", "--port", self.ports["mlflow"], "--workers", 1,
        )  # fmt: skip
        self.wait(lambda: answers(f"{self.uri}/health"), "the MLflow server")

    def end(self, name: str) -> None:
        """End one of them, as its administrator or a power cut would."""
        process = self._processes.pop(name)
        asked = {"postgres": signal.SIGINT, **dict.fromkeys(self.nodes, signal.SIGKILL)}.get(name, signal.SIGTERM)
        process.send_signal(asked)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own group: workers that it left
        process.wait()

    def ask(self, *command: object) -> str:
        """Return what a command says, or nothing if it fails."""
        done = subprocess.run(
            list(map(str, command)), env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout if not done.returncode else ""

    def wait(self, condition, what: str, seconds: float = PATIENCE) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"no {what} after {seconds:.0f} s\n{self._logs()}"
            time.sleep(0.2)

    # --- how they are set ---

    def _munge_up(self) -> None:
        folder = self.folder / "munge"
        folder.mkdir(mode=0o700)
        (folder / "key").write_bytes(secrets.token_bytes(1024))
        (folder / "key").chmod(0o600)
        own = {"key-file": folder / "key", "socket": self.folder / "munge.socket", "pid-file": folder / "pid",
               "log-file": folder / "log", "seed-file": folder / "seed"}  # fmt: skip
        self._start("munge", "munged", "-F", "--force", *(f"--{name}={path}" for name, path in own.items()))
        self.wait(lambda: self.ask("munge", f"--socket={self.folder / 'munge.socket'}", "-n"), "munge")

    def _configure(self) -> None:
        folder, here = self.folder, socket.gethostname()
        settings = {
            "ClusterName": "trial", "SlurmctldHost": f"{here}(127.0.0.1)", "SlurmctldPort": self.ports["slurmctld"],
            "SlurmUser": "root", "AuthType": "auth/munge",
            "AuthInfo": f"socket={folder}/munge.socket,cred_expire=10",  # what goes back into the queue waits so long
            "CredType": "cred/munge", "StateSaveLocation": folder / "state", "SlurmdSpoolDir": f"{folder}/spool.%n",
            "SlurmctldPidFile": folder / "slurmctld.real", "SlurmdPidFile": f"{folder}/%n.real",
            "SlurmctldLogFile": folder / "log/slurmctld", "SlurmdLogFile": f"{folder}/log/%n",
            "ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/affinity", "MpiDefault": "none",
            "JobAcctGatherType": "jobacct_gather/none", "ReturnToService": 2, "SlurmdTimeout": 10, "KillWait": 10,
            "SelectType": "select/cons_tres", "SelectTypeParameters": "CR_CPU",
        }  # fmt: skip
        if self.accounting:
            settings |= {
                "AccountingStorageType": "accounting_storage/slurmdbd", "AccountingStorageHost": "127.0.0.1",
                "AccountingStoragePort": self.ports["slurmdbd"], "AccountingStoragePass": folder / "munge.socket",
            }  # fmt: skip
        lines = [f"{name}={value}" for name, value in settings.items()]
        lines += [
            f"NodeName={node} NodeAddr=127.0.0.1 NodeHostname={node} Port={self.ports[node]} CPUs=2 RealMemory=8000"
            for node in self.nodes
        ]
        lines += ["PartitionName=main Nodes=ALL Default=YES State=UP"]
        (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")

    def _accounts_up(self) -> None:
        folder, own = self.folder, ["--no-defaults", f"--datadir={self.folder}/maria"]
        self._do("mariadb-install-db", *own, "--user=root", "--auth-root-authentication-method=normal")
        ports = ["--bind-address=127.0.0.1", f"--port={self.ports['maria']}", f"--socket={folder}/maria.socket"]
        self._start("maria", "mariadbd", *own, "--user=root", *ports)
        client = ["--no-defaults", "-u", "root", "-S", f"{folder}/maria.socket"]
        self.wait(lambda: self.ask("mariadb-admin", *client, "ping"), "MariaDB")
        self._do("mariadb", *client, "-e", (
            "CREATE DATABASE slurm; CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';"
            "GRANT ALL ON slurm.* TO slurm@'127.0.0.1'"
        ))  # fmt: skip
        settings = {
            "AuthType": "auth/munge", "AuthInfo": f"socket={folder}/munge.socket", "DbdHost": socket.gethostname(),
            "DbdAddr": "127.0.0.1", "DbdPort": self.ports["slurmdbd"], "SlurmUser": "root",
            "LogFile": folder / "log/dbd",
            "StorageType": "accounting_storage/mysql", "StorageHost": "127.0.0.1", "StorageLoc": "slurm",
            "StoragePort": self.ports["maria"], "StorageUser": "slurm", "StoragePass": "slurm",
            "PidFile": folder / "dbd.real",
        }  # fmt: skip
        path = folder / "slurmdbd.conf"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        path.chmod(0o600)
        self._start("slurmdbd", "slurmdbd", "-D")
        self.wait(self._has_cluster, "slurmdbd")

    def _has_cluster(self) -> bool:
        """Tell whether the accounts know of the cluster: a controller that starts before they do gives up for good."""
        if "trial" in self.ask("sacctmgr", "-n", "-P", "show", "cluster", "format=cluster"):
            return True
        self.ask("sacctmgr", "-i", "add", "cluster", "trial")
        return False

    def _start(self, name: str, *command: object) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                list(map(str, command)), env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=self.folder,
            )  # fmt: skip

    def _do(self, *command: object) -> None:
        done = subprocess.run(
            list(map(str, command)), env=self.environment, capture_output=True, text=True, check=False, cwd=self.folder
        )
        assert not done.returncode, done.stdout + done.stderr

    def _logs(self) -> str:
        files = sorted((self.folder / "log").glob("*"))
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-600:]}" for path in files)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


def answers(address: str) -> bool:
    """Tell whether a web server answers."""
    import urllib.request

    try:
        urllib.request.urlopen(address, timeout=2).close()  # noqa: S310 - our own server
    except OSError:
        return False
    return True


def _postgres() -> str:
    """Return the folder of PostgreSQL's programs; empty if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return str(found[-1].parent) if found else ""
