"""The query page for people: GraphiQL from files of our own, or a plain page where they are not installed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.responses import HTMLResponse

ASSETS: Final = (
    "graphiql.min.css",
    "react.production.min.js",
    "react-dom.production.min.js",
    "graphiql.min.js",
)
EXAMPLE: Final = "{\n  businessLines {\n    nodes { code name }\n  }\n}\n"


def installed_assets(folder: Path) -> bool:
    """Whether the folder holds every file of the GraphiQL page."""
    return all((folder / name).is_file() for name in ASSETS)


def query_page(
    *, graphiql: bool, nonce: Callable[[], str] = lambda: secrets.token_urlsafe(16)
) -> HTMLResponse:
    """The page, with or without GraphiQL; it loads nothing from other hosts and may not be framed."""
    once = nonce()
    body, script = (_GRAPHIQL, _GRAPHIQL_SCRIPT) if graphiql else (_PLAIN, _PLAIN_SCRIPT)
    html = (
        _FRAME.replace("{{body}}", body)
        .replace("{{script}}", _SHARED_SCRIPT + script)
        .replace("{{nonce}}", once)
    )
    policy = (
        f"default-src 'self'; script-src 'self' 'nonce-{once}'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return HTMLResponse(html, headers=headers)


_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>crm-core GraphQL</title>
<style>
  html, body { height: 100%; margin: 0; font: 14px/1.5 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; }
  body { display: flex; flex-direction: column; }
  #who { display: flex; gap: 1rem; padding: .5rem 1rem; background: #1f2937; color: #fff; align-items: center; }
  #who label { display: flex; gap: .5rem; align-items: center; }
  #who input { padding: .25rem .5rem; border: 0; border-radius: 4px; }
  #token { width: 26rem; } #line { width: 9rem; }
  #page { flex: 1; min-height: 0; }
  .plain { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; padding: 1rem; box-sizing: border-box; }
  .plain > div { display: flex; flex-direction: column; gap: .5rem; min-height: 0; }
  textarea, pre { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; border: 1px solid #cbd5e1; padding: .5rem; }
  #query { flex: 3; } #variables { flex: 1; } pre { flex: 1; overflow: auto; margin: 0; white-space: pre-wrap; }
  button { align-self: flex-start; padding: .4rem 1.2rem; }
</style>
</head>
<body>
<div id="who">
  <strong>crm-core</strong>
  <label>Token 令牌 <input id="token" type="password" autocomplete="off" placeholder="crm_…"></label>
  <label>Line 业务线 <input id="line" placeholder="all 全部"></label>
</div>
{{body}}
<script nonce="{{nonce}}">{{script}}</script>
</body>
</html>
"""

_SHARED_SCRIPT = """
const byId = (id) => document.getElementById(id);
for (const id of ["token", "line"]) {
  byId(id).value = sessionStorage.getItem("crm." + id) || "";
  byId(id).addEventListener("change", () => {
    sessionStorage.setItem("crm." + id, byId(id).value.trim());
    if (window.changed) window.changed();
  });
}
async function ask(params) {
  const headers = { "content-type": "application/json", accept: "application/json" };
  const token = byId("token").value.trim(), line = byId("line").value.trim();
  if (token) headers.authorization = "Bearer " + token;
  if (line) headers["x-crm-line"] = line;
  const response = await fetch("/graphql", { method: "POST", headers, body: JSON.stringify(params) });
  return response.json();
}
"""

_GRAPHIQL = """<link rel="stylesheet" href="/graphql/assets/graphiql.min.css">
<div id="page"></div>
<script src="/graphql/assets/react.production.min.js"></script>
<script src="/graphql/assets/react-dom.production.min.js"></script>
<script src="/graphql/assets/graphiql.min.js"></script>
"""

_GRAPHIQL_SCRIPT = """
const root = ReactDOM.createRoot(byId("page"));
window.changed = () => root.render(React.createElement(GraphiQL, {
  fetcher: (params) => ask(params),
  defaultQuery: EXAMPLE,
  key: byId("token").value + byId("line").value,
}));
window.changed();
""".replace("EXAMPLE", repr(EXAMPLE))

_PLAIN = """<div id="page" class="plain">
  <div>
    <textarea id="query" spellcheck="false" aria-label="Query 查询"></textarea>
    <textarea id="variables" spellcheck="false" aria-label="Variables 变量" placeholder="{ }"></textarea>
    <button id="run">Run 执行 (Ctrl+Enter)</button>
  </div>
  <div><pre id="answer" aria-label="Answer 结果"></pre></div>
</div>
"""

_PLAIN_SCRIPT = """
byId("query").value = EXAMPLE;
async function run() {
  const text = byId("variables").value.trim();
  let variables = {};
  try { variables = text ? JSON.parse(text) : {}; }
  catch (error) { byId("answer").textContent = "Variables: " + error.message; return; }
  byId("answer").textContent = "…";
  try { byId("answer").textContent = JSON.stringify(await ask({ query: byId("query").value, variables }), null, 2); }
  catch (error) { byId("answer").textContent = String(error); }
}
byId("run").addEventListener("click", run);
document.addEventListener("keydown", (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) run(); });
""".replace("EXAMPLE", repr(EXAMPLE))
