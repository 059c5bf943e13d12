"""A real Dovecot for tests, as a process of its own under a folder of its own."""

from __future__ import annotations

import asyncio
import grp
import imaplib
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

PASSWORD = "pw of a test"
DOMAIN = "lab.test"
_PATIENCE = 20.0

_CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
instance_name = opencraw-test
protocols = imap lmtp
listen = 127.0.0.1
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
first_valid_uid = 1
first_valid_gid = 1
auth_mechanisms = plain login
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = maildir:~/mail
mail_max_userip_connections = 50
imap_idle_notify_interval = 30 s
imap_capability = {capability}
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
ssl_dh =
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
}}
service imap-login {{
  chroot =
  process_min_avail = 1
  inet_listener imap {{
    port = {ports[0]}
  }}
  inet_listener imaps {{
    port = {ports[1]}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {ports[2]}
  }}
}}
service auth {{
  inet_listener {{
    port = {ports[3]}
  }}
}}
service anvil {{
  chroot =
}}
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at the moment."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def make_certificate(folder: Path) -> Path:
    """A certificate for this machine, which nobody but the test believes."""
    path = folder / "cert.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(folder / "key.pem"),
            "-out", str(path),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return path


class Dovecot:
    """One server. Use as `async with`."""

    def __init__(self, *, idle: bool = True) -> None:
        program = shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "there is no dovecot: scripts/test-needs installs it"
        self._program = program
        self._idle = idle
        self.folder = Path(tempfile.mkdtemp(prefix="oc-dovecot-"))
        self.imap, self.imaps, self.lmtp, self.auth = free_ports(4)
        self._passwords: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self.folder.chmod(0o755)
        user = "dovecot" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        account = pwd.getpwnam(user)
        for name in ("run", "state", "home"):
            (self.folder / name).mkdir()
        if os.geteuid() == 0:
            os.chown(self.folder / "home", account.pw_uid, account.pw_gid)
        make_certificate(self.folder)
        self._write_users()
        config = _CONFIG.format(
            folder=self.folder,
            user=user,
            group=grp.getgrgid(account.pw_gid).gr_name,
            ports=(self.imap, self.imaps, self.lmtp, self.auth),
            capability="" if self._idle else "IMAP4rev1 LITERAL+ UIDPLUS",
        )
        (self.folder / "dovecot.conf").write_text(config)
        self._process = await asyncio.create_subprocess_exec(
            self._program, "-F", "-c", str(self.folder / "dovecot.conf"),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        async with asyncio.timeout(_PATIENCE):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.imap)
                    writer.close()
                    return self
                assert self._process.returncode is None, await self._complaint()
                await asyncio.sleep(0.01)

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            # With all that it started. Nothing of it is kept.
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _complaint(self) -> str:
        assert self._process is not None
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode()

    @property
    def ca_file(self) -> str:
        return str(self.folder / "cert.pem")

    @property
    def log(self) -> str:
        return (self.folder / "dovecot.log").read_text()

    def add(self, user: str, password: str = PASSWORD) -> str:
        """Somebody with a mailbox; returns the address."""
        return self.add_address(f"{user}@{DOMAIN}", password)

    def add_address(self, address: str, password: str = PASSWORD) -> str:
        """Somebody of any domain with a mailbox."""
        self._passwords[address] = password
        self._write_users()
        return address

    def _write_users(self) -> None:
        path = self.folder / "users"
        lines = [f"{user}:{{PLAIN}}{word}::::::\n" for user, word in self._passwords.items()]
        aside = path.with_suffix(".new")
        aside.write_text("".join(lines))
        aside.chmod(0o644)
        aside.rename(path)

    def mailbox(self, user: str, folder: str = "INBOX") -> imaplib.IMAP4:
        """A connection of the mailbox's owner. Blocking."""
        client = imaplib.IMAP4("127.0.0.1", self.imap)
        client.login(user, self._passwords[user])
        client.select(folder)
        return client

    def put(self, user: str, *mails: bytes, folder: str = "INBOX") -> None:
        """Mail arrives."""
        client = self.mailbox(user, folder)
        for mail in mails:
            done, said = client.append(folder, "", "", mail)
            assert done == "OK", said
        client.logout()

    def flags(self, user: str) -> list[str]:
        """The flags of each mail, in order."""
        lines = self._fetch(user, "INBOX", "(FLAGS)")
        return [line.decode() for line in lines if isinstance(line, bytes)]

    def mails(self, user: str, folder: str) -> list[bytes]:
        """All mails of a folder."""
        lines = self._fetch(user, folder, "(BODY.PEEK[])")
        return [line[1] for line in lines if isinstance(line, tuple)]

    def _fetch(self, user: str, folder: str, items: str) -> list[Any]:
        client = self.mailbox(user, folder)
        _, [numbers] = client.search(None, "ALL")
        lines = client.fetch(numbers.replace(b" ", b",").decode(), items)[1] if numbers else []
        client.logout()
        return lines

    def number_anew(self, user: str) -> None:
        """Lose count of the mails in the inbox: none of their UIDs means anything any more."""
        home = self.folder / "home" / user / "mail"
        for path in home.glob("dovecot.*"):
            path.unlink()
        uids = home / "dovecot-uidlist"
        head, *lines = uids.read_text().split("\n")
        validity = int(head.split()[1].removeprefix("V"))
        uids.write_text("\n".join([head.replace(f"V{validity}", f"V{validity + 7}"), *lines]))

    def spoil(self, user: str, word: bytes) -> None:
        """Nobody can read the mail any more in which this stands."""
        home = self.folder / "home" / user / "mail"
        [path] = [each for each in home.glob("*/*,S=*") if word in each.read_bytes()]
        if os.geteuid() == 0:
            os.chown(path, 0, 0)
        path.chmod(0)

    def believes(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)
