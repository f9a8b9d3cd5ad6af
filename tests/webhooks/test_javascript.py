"""The official package for JavaScript verifies what is sent; it is fetched once into the environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.webhooks.conftest import Post

PACKAGE = "standardwebhooks@1.1.1"
PATIENCE = 90
_VERIFY = """
const { Webhook } = require("standardwebhooks");
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const verdicts = given.map(one => {
  try { return new Webhook(one.secret).verify(one.body, one.headers).type; } catch (error) { return error.name; }
});
console.log(JSON.stringify(verdicts));
"""


@pytest.fixture(scope="module")
def package() -> Path:
    """The folder where the package is installed."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm and node are not installed")
    folder = Path(sys.prefix) / "share" / "crm" / PACKAGE
    if not (folder / "node_modules" / ".package-lock.json").is_file():  # written last
        folder.mkdir(parents=True, exist_ok=True)
        words = [
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-retries=0",
            "--prefix",
            str(folder),
            PACKAGE,
        ]
        done = subprocess.run(
            [npm, *words], check=False, capture_output=True, text=True, timeout=PATIENCE, cwd=folder
        )
        if done.returncode != 0:
            pytest.skip(f"npm could not fetch {PACKAGE}: {done.stderr[-300:]}")
    return folder


def verdicts(package: Path, given: list[dict[str, object]]) -> list[str]:
    """The type of each verified payload, or the name of the error."""
    done = subprocess.run(
        [shutil.which("node") or "node", "-e", _VERIFY], input=json.dumps(given), capture_output=True, text=True, check=True,
        cwd=package, timeout=PATIENCE,
    )  # fmt: skip
    found: list[str] = json.loads(done.stdout)
    return found


async def test_the_javascript_package_verifies_what_is_sent_before_and_after_a_rotation(
    post: Post, package: Path
) -> None:
    made = (await post.create())["webhookEndpoint"]
    post.now()
    await post.customer("华信")
    assert await post.send() == 1
    rotated = await post.crm.done(
        "webhookRotateSecret", input={"id": made["id"]}, line="east", select="webhookEndpoint { secret }"
    )
    await post.customer("东风")
    assert await post.send() == 1
    old, new = made["secret"], rotated["webhookEndpoint"]["secret"]
    first, second = ({"body": one.body.decode(), "headers": one.headers} for one in post.sink.received)
    changed = {**second, "body": str(second["body"]).replace("东风", "西风")}
    given = [
        {**first, "secret": old}, {**first, "secret": new},
        {**second, "secret": old}, {**second, "secret": new}, {**changed, "secret": new},
    ]  # fmt: skip
    refused, right = "WebhookVerificationError", "customer.created"
    assert verdicts(package, given) == [right, refused, right, right, refused]
