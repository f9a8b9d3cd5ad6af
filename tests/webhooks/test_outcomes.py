"""What becomes of a delivery when no request comes about, or the same refusal comes again and again."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.webhooks.conftest import Post
from tests.webhooks.sinks import Reply, sink


@dataclass(frozen=True)
class Shown:
    """A certificate signed by itself: what a server shows, and what its clients would trust."""

    server: ssl.SSLContext
    trusted: str


def certificate(folder: Path, address: str = "127.0.0.1", *, days: tuple[int, int] = (-1, 1)) -> Shown:
    """One for this address that holds between these days from now."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    begins, ends = (now + timedelta(days=one) for one in days)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begins, ends)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(trusted + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return Shown(context, trusted.decode())


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("of another name", "IP address mismatch"),
        ("expired", "certificate has expired"),
        ("not valid yet", "certificate is not yet valid"),
        ("of another authority", "self-signed certificate"),
        ("unknown to the system", "self-signed certificate"),
    ],
)
async def test_a_bad_certificate_gets_nothing_and_is_tried_again(
    post: Post, tmp_path: Path, bad: str, why: str
) -> None:
    days = {"expired": (-10, -5), "not valid yet": (5, 10)}.get(bad, (-1, 1))
    shown = certificate(tmp_path, "127.0.0.2" if bad == "of another name" else "127.0.0.1", days=days)
    trusted = {"of another authority": certificate(tmp_path).trusted, "unknown to the system": None}
    async with sink(shown.server) as receiver:
        await post.endpoint(url=receiver.url(), ca=trusted.get(bad, shown.trusted))
        await post.customer()
        await post.send()
        assert receiver.received == []
    (attempt,), row = await post.attempts(), await post.delivery()
    assert attempt.status is None
    assert attempt.error.startswith("the certificate is not trusted: ")
    assert why in attempt.error
    assert (row.state, row.attempts, (row.next_at - post.crm.clock()).total_seconds()) == ("WAITING", 1, 5)


def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def unknown(_host: str, _port: int) -> Sequence[str]:
    """Knows no name."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_where_nobody_listens_it_is_tried_again(post: Post) -> None:
    await post.endpoint(url=f"http://127.0.0.1:{closed_port()}/hook")
    await post.customer()
    assert await post.send() == 1
    (attempt,), row = await post.attempts(), await post.delivery()
    assert attempt.error.startswith("ClientConnectorError: Cannot connect to host 127.0.0.1")
    assert (attempt.status, row.state, row.attempts) == (None, "WAITING", 1)
    assert (row.next_at - post.crm.clock()).total_seconds() == 5


async def test_a_name_that_is_not_known_is_tried_again_and_delivered_once_it_is(post: Post) -> None:
    await post.endpoint(url=f"http://partner.example.com:{post.sink.port}/hook")
    await post.customer()
    assert await post.send(resolve=unknown) == 1
    (attempt,), row = await post.attempts(), await post.delivery()
    assert "partner.example.com" in attempt.error
    assert (attempt.status, row.state, row.attempts, post.sink.received) == (None, "WAITING", 1, [])

    async def known(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    post.crm.clock.advance(seconds=5)
    assert await post.send(resolve=known) == 1
    assert (await post.delivery()).state == "DELIVERED"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 405, 413, 422])
async def test_what_refuses_three_times_gets_it_no_more(post: Post, status: int) -> None:
    await post.endpoint()
    await post.customer()
    post.sink.usual = Reply(status, headers={"Location": post.sink.url("/elsewhere")})
    waited = []
    for _ in range(3):
        assert await post.send() == 1
        row = await post.delivery()
        waited.append((row.next_at - post.crm.clock()).total_seconds())
        post.crm.clock.now = row.next_at
    post.crm.clock.advance(days=3)
    assert await post.send() == 0
    row = await post.delivery()
    assert (row.state, row.attempts, row.last_status) == ("DEAD", 3, status)
    assert waited[:2] == [5, 300]
    assert [one.path for one in post.sink.received] == ["/hook"] * 3
    assert [one.status for one in await post.attempts()] == [status] * 3


async def test_a_refused_address_is_given_up_after_three_tries_and_never_connected_to(post: Post) -> None:
    post.configure(breaker_failures=2)

    async def home(_host: str, _port: int) -> Sequence[str]:
        return ["10.0.0.1"]

    await post.endpoint(url=f"http://partner.example.com:{post.sink.port}/hook")
    await post.customer()
    for wait in (0, 5, 300):
        post.crm.clock.advance(seconds=wait)
        assert await post.send(resolve=home) == 1
    post.crm.clock.advance(days=3)
    assert await post.send(resolve=home) == 0
    row = await post.delivery()
    assert (row.state, row.attempts, row.last_status) == ("DEAD", 3, None)
    assert "private or special" in row.last_error
    assert post.sink.received == []
    assert len(await post.attempts()) == 3
