"""A real Postfix for tests, which hands its mail to a Dovecot. Needs root, as Postfix does."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.fakes.dovecot import DOMAIN, Dovecot, free_ports

AUTHSERV = f"mx.{DOMAIN}"
_PATIENCE = 30.0

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
mail_owner = postfix
setgid_group = postdrop
myhostname = {authserv}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {domain}, example.org
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
default_transport = error:5.4.4 nothing leaves this machine
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth}
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_peername_lookup = no
message_size_limit = 200000
header_checks = regexp:{folder}/header_checks
smtputf8_enable = no
"""

# What a verifying filter does on a real server: results that were sent along are taken out, and its
# own are put in. Here everybody from example.org passes.
_CHECKS = """\
/^Authentication-Results:/ IGNORE
/^From:.*@example\\.org/ PREPEND Authentication-Results: {authserv};
  spf=pass smtp.mailfrom=example.org; dmarc=pass header.from=example.org
/^From:/ PREPEND Authentication-Results: {authserv}; dmarc=fail
"""

_MASTER = """\
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{submission} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One server. Use as `async with`."""

    def __init__(self, dovecot: Dovecot) -> None:
        self._dovecot = dovecot
        self._program = shutil.which("postfix", path=f"{os.environ['PATH']}:/usr/sbin")
        assert self._program, "there is no postfix: scripts/test-needs installs it"
        self.folder = Path(tempfile.mkdtemp(prefix="oc-postfix-"))
        self.smtp, self.submission = free_ports(2)

    async def __aenter__(self) -> Self:
        self.folder.chmod(0o755)
        for name in ("queue", "data", "conf"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix", "postfix")
        words = {
            "folder": self.folder,
            "authserv": AUTHSERV,
            "domain": DOMAIN,
            "lmtp": self._dovecot.lmtp,
            "auth": self._dovecot.auth,
            "certificate": self._dovecot.folder / "cert.pem",
            "key": self._dovecot.folder / "key.pem",
            "smtp": self.smtp,
            "submission": self.submission,
        }
        (self.folder / "conf" / "main.cf").write_text(_MAIN.format_map(words))
        (self.folder / "conf" / "master.cf").write_text(_MASTER.format_map(words))
        (self.folder / "header_checks").write_text(_CHECKS.format_map(words))
        await self._postfix("start")
        async with asyncio.timeout(_PATIENCE):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.submission)
                    writer.close()
                    return self
                await asyncio.sleep(0.02)

    async def __aexit__(self, *_: object) -> None:
        await self._postfix("abort")
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _postfix(self, command: str) -> None:
        assert self._program is not None
        process = await asyncio.create_subprocess_exec(
            self._program, "-c", str(self.folder / "conf"), command,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
        assert process.returncode == 0, f"{said.decode()}\n{self.log}"

    @property
    def log(self) -> str:
        path = self.folder / "postfix.log"
        return path.read_text() if path.exists() else ""
