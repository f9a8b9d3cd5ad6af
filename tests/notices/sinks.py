"""Servers on this machine that keep what they are sent: for mail, for HTTP, and certificates for both."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import orjson
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1, signed by itself; as a file to trust, and as what a server shows."""

    file: Path
    server: ssl.SSLContext


def certificate(folder: Path) -> Certificate:
    """A new certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, both = folder / "trusted.pem", folder / "server.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(file.read_bytes() + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return Certificate(file, context)


# -- mail


@dataclass
class MailSink:
    """What a mail server took: mails with the addresses they came for. `answers` are said to the next ones."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    accounts: list[tuple[bytes, bytes]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail."""
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(list(envelope.rcpt_tos))
        assert server.transport is not None
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 OK"

    def sign_in(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any
    ) -> AuthResult:
        """Let in whose password is `right`; one who is wrong hears his password again."""
        assert isinstance(given, LoginPassword)
        self.accounts.append((given.login, given.password))
        if given.password == b"right":
            return AuthResult(success=True)
        return AuthResult(
            success=False, handled=False, message=f"535 5.7.8 bad password {given.password.decode()}"
        )


@asynccontextmanager
async def mail_sink(
    shown: ssl.SSLContext | None = None, *, implicit: bool = False, signed_in: bool = False
) -> AsyncIterator[MailSink]:
    """A mail server; with a certificate it offers STARTTLS, or speaks TLS from the first byte."""
    sink, loop = MailSink(), asyncio.get_running_loop()

    def serve() -> SMTP:
        starting = None if implicit else shown
        return SMTP(
            sink,
            loop=loop,
            tls_context=starting,
            enable_SMTPUTF8=True,
            authenticator=sink.sign_in if shown else None,
            auth_required=starting is not None and signed_in,
            auth_require_tls=starting is not None,
        )

    server = await loop.create_server(serve, "127.0.0.1", 0, ssl=shown if implicit else None)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        await asyncio.sleep(0.01)


# -- HTTP


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return orjson.loads(self.body)


@dataclass
class Reply:
    """What is answered; `hang`: nothing at all."""

    status: int = 200
    body: bytes = b'{"errcode":0,"code":0}'
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False


@dataclass
class HttpSink:
    """What an HTTP server was sent; `replies` are given to the next requests, then all is well."""

    port: int = 0
    scheme: str = "http"
    received: list[Received] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    talks: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/") -> str:
        """Its address."""
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep one request, and answer it."""
        talk = asyncio.current_task()
        assert talk is not None
        self.talks.add(talk)
        try:
            await self._answered(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()
            self.talks.discard(talk)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        raw = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in head[1:] if line}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.received.append(Received(head[0].split(" ")[1], raw, body))
        reply = self.replies.pop(0) if self.replies else Reply()
        if reply.hang:
            await asyncio.sleep(60)
        lines = [f"HTTP/1.1 {reply.status} Said", f"content-length: {len(reply.body)}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)
        await writer.drain()


@asynccontextmanager
async def http_sink(shown: ssl.SSLContext | None = None) -> AsyncIterator[HttpSink]:
    """An HTTP server."""
    sink = HttpSink(scheme="https" if shown else "http")
    server = await asyncio.start_server(sink.answer, "127.0.0.1", 0, ssl=shown)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        for talk in list(sink.talks):
            talk.cancel()
        await asyncio.sleep(0.01)
