"""The front: HAProxy in a container before the replicas, changed through its runtime API."""

import csv
import fcntl
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.cli.errors import Refused, unwritable_disk
from pipelines.cli.files import write_text
from pipelines.deployment import front_config
from pipelines.deployment.containers import Container, docker, pull_missing
from pipelines.deployment.host import Host
from pipelines.deployment.replicas import list_replicas
from pipelines.deployment.roles import Roles
from pipelines.deployment.service_client import host_and_port

UP_SECONDS = 30.0  # until the checks of a ready replica pass
RELOAD_SECONDS = 10.0


class Front:
    """The front of a model on this host.

    `roles.map`, `share.map` and `keys.map` in its folder are what it reads when it starts. They are written before a
    running front is changed, so that a front that is killed and started again routes as before.
    """

    def __init__(self, host: Host) -> None:
        """Nothing is started yet."""
        self._host = host
        self._folder = host.folder
        self._container = Container(host.network)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let only one process at a time change the front and the replicas; its end releases the lock."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)  # the admin socket and the certificate's key are in it
            lock = (self._folder / "lock").open("a")
        except OSError as error:
            raise unwritable_disk(f"{self._folder} cannot be written: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read_roles(self) -> Roles:
        """Return the roles that were applied last."""
        path = self._folder / "roles.map"
        return Roles.from_map(path.read_text(encoding="utf-8")) if path.exists() else Roles()

    def apply(self, roles: Roles) -> None:
        """Route by these roles, from the next request on, and after every restart."""
        self._apply_map("roles.map", roles.to_map())

    def read_share(self) -> float:
        """Return the canary's share of the requests in percent; 0 if no watch renewed it, or the clock was set back."""
        values = dict(re.findall(r"^(share|until) (\d+)$", self._share_text(), re.MULTILINE))
        share, until = (int(values.get(name, 0)) for name in ("share", "until"))
        return share / 100 if 0 < until - int(time.time()) <= front_config.SHARE_SECONDS else 0.0

    def set_share(self, percent: float) -> None:
        """Give the canary a share of the requests for SHARE_SECONDS, in percent with two decimals.

        It is apart from the roles, so that a canary can lose its requests while another process exchanges versions.
        """
        self._apply_map(
            "share.map", f"share {round(percent * 100)}\nuntil {int(time.time()) + front_config.SHARE_SECONDS}\n"
        )

    def ensure(self) -> None:
        """Make the front run with the newest settings and keys; Refused if it cannot.

        A change of its image or of its ports starts another container, any other change reloads HAProxy.
        """
        files, keys = front_config.render(self._host), front_config.read_keys(self._host)
        addresses = self._folder / "servers.state"
        addresses.unlink(missing_ok=True)  # of a reload that was killed: a restart would read old addresses
        options = self._options()
        name = hashlib.sha256(" ".join(options).encode()).hexdigest()[:12]
        state = self._container.inspect('{{.State.Running}} {{index .Config.Labels "mainline.options"}}')
        running_config = self._running_config() if state == f"true {name}" else None
        if running_config == front_config.digest_of(files):
            if self._host.serving.keys is not None:
                self._apply_map("keys.map", keys)
            self.apply(self.read_roles())
            self._apply_map("share.map", self._share_text())
            return
        ensure_network(self._host)
        pull_missing(self._image)
        self._check(files, keys)
        maps = {
            "keys.map": keys,
            "roles.map": self.read_roles().to_map(),
            "share.map": self._share_text(),
        }
        for file, text in {**files, **maps}.items():
            write_text(self._folder / file, text)
        try:
            if running_config is not None:
                write_text(addresses, self.command("show servers state"))
                docker("kill", "--signal=HUP", self._container.name)
            else:
                self._container.remove()
                options = [*options, f"--label=mainline.options={name}"]
                Container.run(self._image, *options, command=("-W", "-db", "-f", "/front/front.cfg"))
            self._wait(front_config.digest_of(files))
        finally:
            addresses.unlink(missing_ok=True)

    def wait_until_up(self, slot: str) -> None:
        """Wait until the front would send requests to all ready replicas of a slot, at the addresses they have now."""
        waiting = {str(replica.number): replica.address for replica in list_replicas(self._host, slot)}
        deadline = time.monotonic() + UP_SECONDS
        while True:
            for row in self._stat(slot):
                number, address = row["svname"], row["addr"].rpartition(":")[0]
                if waiting.get(number) != address:
                    continue
                if row["status"] == "UP":
                    del waiting[number]
                else:  # of an earlier container in this slot; the newer one need not pass several checks first
                    self.command(f"set server slot_{slot}/{number} health up")
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise Refused(
                    f"deployment: the front does not reach replica {', '.join(waiting)} of slot {slot}",
                    f"See `docker logs {self._container.name}`, then run again.",
                )
            time.sleep(0.02)

    def drain(self, slot: str) -> None:
        """Wait until no request of a slot is under way, at most as long as a response may take."""
        deadline = time.monotonic() + front_config.drain_seconds(self._host)
        while time.monotonic() < deadline and any(int(row["scur"]) for row in self._stat(slot)):
            time.sleep(0.05)

    def command(self, text: str) -> str:
        """Return the response of HAProxy's runtime API; Refused if the front does not run."""
        try:
            # The path of a socket may have 107 characters, which the folder's may exceed.
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(10)
                    connection.connect(f"/proc/self/fd/{folder}/admin.sock")
                    connection.sendall(f"{text}\n".encode())
                    return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
            finally:
                os.close(folder)
        except OSError as error:
            raise Refused(
                f"the front does not respond: {error.strerror or error}",
                f"See `docker logs {self._container.name}`, then run `make reconcile`.",
            ) from error

    @property
    def _image(self) -> str:
        return str(self._host.serving.front_image)

    def _options(self) -> list[str]:
        """Return the options of `docker run`."""
        security = docker("info", "--format={{json .SecurityOptions}}")
        # The front's files belong to this user, and its socket is for this user only.
        user = "0:0" if "name=rootless" in security else f"{os.getuid()}:{os.getgid()}"
        publish = (
            (self._host.service_url, front_config.PUBLIC_PORT),
            (self._host.operations_url, front_config.OPERATIONS_PORT),
        )
        return [
            f"--name={self._container.name}",
            "--restart=unless-stopped",
            f"--network={self._host.network}",
            f"--user={user}",
            f"--volume={self._folder}:/front",
            "--entrypoint=haproxy",
            # It only looks for containers: an unknown name needs no question to the resolvers of this host.
            *("--dns=127.0.0.1", "--dns-option=timeout:1", "--dns-option=attempts:1"),
            *(f"--publish={_bind(url)}:{port}" for url, port in publish),
        ]

    def _check(self, files: dict[str, str], keys: str) -> None:
        """Let HAProxy read the files in a folder of their own; Refused if it cannot."""
        folder = self._folder / "check"
        try:
            for name, text in {**files, "keys.map": keys, "roles.map": "", "share.map": ""}.items():
                write_text(folder / name, text)
            user = next(option for option in self._options() if option.startswith("--user="))
            options = ("--rm", "--network=none", user, f"--volume={folder}:/front", "--entrypoint=haproxy")
            docker("run", *options, self._image, "-c", "-q", "-f", "/front/front.cfg")
        except Refused as error:
            raise Refused(
                f"the front's configuration is invalid: {error}", "Fix serving.tls in params.yaml, or its file."
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _wait(self, digest: str) -> None:
        """Wait until the front runs with the configuration of this hash."""
        deadline = time.monotonic() + RELOAD_SECONDS
        while self._running_config() != digest:
            if time.monotonic() > deadline:
                raise Refused(
                    f"deployment: the front does not start: {self._container.logs()}",
                    f"See `docker logs {self._container.name}`, then run again.",
                )
            time.sleep(0.02)

    def _running_config(self) -> str | None:
        """Return the hash of the configuration that the front has read, or None if it does not respond."""
        try:
            return self.command("show env CONFIG").strip().removeprefix("CONFIG=")
        except Refused:
            return None

    def _share_text(self) -> str:
        path = self._folder / "share.map"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _apply_map(self, name: str, text: str) -> None:
        """Replace a map at once, first in its file."""
        path = self._folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
        created = self.command(f"prepare map /front/{name}")
        version = re.search(r"New version created: (\d+)", created)
        # A payload ends with an empty line, so an empty one cannot be sent.
        error = self.command(f"add map @{version[1]} /front/{name} <<\n{text}") if version and text else ""
        error += self.command(f"commit map @{version[1]} /front/{name}") if version else created
        if error.strip():
            raise Refused(f"the front refuses {name}: {error.strip()}", "Run `make reconcile`.")

    def _stat(self, slot: str) -> list[dict[str, str]]:
        lines = self.command("show stat").removeprefix("# ").splitlines()
        return [row for row in csv.DictReader(lines) if row["pxname"] == f"slot_{slot}"]


def ensure_network(host: Host) -> None:
    """Create the network of front and replicas unless it exists."""
    if not docker("network", "ls", "--quiet", f"--filter=name=^{host.network}$").strip():
        docker("network", "create", host.network)


def _bind(url: str) -> str:
    """Return address and port to publish: the URL's address if it is one of this machine, else all addresses."""
    host, port = host_and_port(url)
    host = host.replace("localhost", "127.0.0.1")
    is_address = re.fullmatch(r"\d+(\.\d+){3}", host)
    return f"{host}:{port}" if is_address else f"0.0.0.0:{port}"
