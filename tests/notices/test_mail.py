"""Mail, as a mail server on this machine gets it."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import pytest

from crm_core.notices.trust import certificates
from tests.notices.conftest import Office
from tests.notices.sinks import Certificate, MailSink, certificate, mail_sink

PASSWORD = "hunter2-not-in-any-log"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What the servers of these tests show."""
    return certificate(tmp_path_factory.mktemp("certificate"))


def by_mail(office: Office, sink: MailSink, **more: object) -> None:
    office.configure(
        **{
            "channels": ["mail"], "smtp_host": "127.0.0.1", "smtp_port": sink.port, "smtp_security": "none",
            "smtp_sender": "CRM 通知 <crm@example.com>", "public_url": "https://crm.example.com", **more,
        }
    )  # fmt: skip


async def test_a_notice_arrives_as_text_and_html_with_its_link(office: Office) -> None:
    async with mail_sink() as sink:
        by_mail(office, sink)
        await office.tell(path="/approvals/1")
        assert await office.deliver() == 1
    (mail,) = sink.mails
    delivery = await office.delivery()
    assert (mail["Subject"], mail["From"], mail["To"]) == (
        "待您审批：折扣申请",
        "CRM 通知 <crm@example.com>",
        "ann@example.com",
    )
    assert mail["Message-ID"] == f"<ntd_{delivery.id.hex}@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "申请人：王芳" in plain.get_content()
    assert "https://crm.example.com/approvals/1" in plain.get_content()
    assert '<a href="https://crm.example.com/approvals/1">打开</a>' in html.get_content()
    assert sink.recipients == [["ann@example.com"]]
    assert delivery.state == "SENT"


async def test_it_is_in_english_for_who_prefers_it(office: Office) -> None:
    async with mail_sink() as sink:
        by_mail(office, sink)
        await office.prefer(channel="mail", language="en", address="ann@home.example")
        await office.tell(about="approval.urged")
        await office.deliver()
    assert sink.mails[0]["Subject"] == "You are urged to sign: 折扣申请"
    assert sink.recipients == [["ann@home.example"]]


async def test_what_people_wrote_neither_adds_headers_nor_markup(office: Office) -> None:
    facts = {"title": "x\r\nBcc: spy@example.com", "subject": "<script>alert(1)</script>"}
    async with mail_sink() as sink:
        by_mail(office, sink)
        await office.tell(facts=facts)
        await office.deliver()
    (mail,) = sink.mails
    assert mail["Bcc"] is None
    assert sink.recipients == [["ann@example.com"]]
    html = mail.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_over_tls_it_signs_in_and_checks_the_certificate(
    office: Office, shown: Certificate, security: str
) -> None:
    signing = {"smtp_security": security, "smtp_user": "crm", "smtp_password": "right", "ca_file": shown.file}
    async with mail_sink(shown.server, implicit=security == "tls", signed_in=True) as sink:
        by_mail(office, sink, **signing)
        await office.tell()
        await office.deliver()
    assert (await office.delivery()).last_error is None
    assert sink.encrypted == [True]
    assert sink.accounts == [(b"crm", b"right")]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_nobody_vouches_for_is_not_accepted(
    office: Office, shown: Certificate, security: str
) -> None:
    async with mail_sink(shown.server, implicit=security == "tls") as sink:
        by_mail(office, sink, smtp_security=security)
        await office.tell()
        await office.deliver()
    row = await office.delivery()
    assert (row.state, sink.mails) == ("FAILED", [])
    assert "CERTIFICATE_VERIFY_FAILED" in row.last_error


async def test_a_server_without_tls_gets_nothing_where_tls_is_asked_for(office: Office) -> None:
    async with mail_sink() as sink:
        by_mail(office, sink, smtp_security="starttls")
        await office.tell()
        await office.deliver()
    assert ((await office.delivery()).state, sink.mails) == ("FAILED", [])


async def test_a_password_stands_in_no_log_and_no_row(
    office: Office, shown: Certificate, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with mail_sink(shown.server, signed_in=True) as sink:
        by_mail(
            office,
            sink,
            smtp_security="starttls",
            smtp_user="crm",
            smtp_password=PASSWORD,
            ca_file=shown.file,
        )
        await office.tell()
        await office.deliver()
    row = await office.delivery()
    assert (row.state, sink.mails) == ("FAILED", [])
    assert "535 5.7.8 bad password ***" in row.last_error
    own = [r.getMessage() for r in caplog.records if r.name != "mail.log"]  # the server's own log is not ours
    everything = "\n".join([*own, *capsys.readouterr(), repr(row), repr(office.crm.services)])
    assert PASSWORD not in everything


@pytest.mark.parametrize(
    ("answer", "state"), [("451 4.3.0 later", "FAILED"), ("550 5.1.1 nobody of that name", "DEAD")]
)
async def test_a_refusal_for_now_is_tried_again_one_for_good_is_not(
    office: Office, answer: str, state: str
) -> None:
    async with mail_sink() as sink:
        by_mail(office, sink)
        sink.answers = [answer]
        await office.tell()
        await office.deliver()
        row = await office.delivery()
        assert row.state == state
        assert answer[4:] in row.last_error
        office.crm.clock.advance(hours=1)
        await office.deliver()
    assert len(sink.mails) == (1 if state == "FAILED" else 0)


async def test_a_server_that_is_away_is_tried_again(office: Office) -> None:
    async with mail_sink() as sink:
        by_mail(office, sink)
    await office.tell()
    await office.deliver()
    assert (await office.delivery()).state == "FAILED"


async def test_an_address_that_is_none_is_dead_at_once(office: Office) -> None:
    odd = await office.person("odd", email="no address")
    async with mail_sink() as sink:
        by_mail(office, sink)
        await office.tell(odd)
        await office.deliver()
    assert ((await office.delivery()).state, sink.mails) == ("DEAD", [])


async def test_without_a_mail_server_no_mail_is_written(office: Office) -> None:
    office.configure(channels=["mail"])
    await office.tell()
    assert await office.deliveries() == []


async def test_every_line_of_a_mail_is_plain_ascii_on_the_wire(office: Office) -> None:
    async with mail_sink() as sink:
        by_mail(office, sink)
        await office.tell()
        await office.deliver()
    assert sink.mails[0].as_bytes().isascii()


def test_the_context_of_a_private_certificate_still_checks_names(shown: Certificate) -> None:
    for file in (None, Path(shown.file)):
        context = certificates(file)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
