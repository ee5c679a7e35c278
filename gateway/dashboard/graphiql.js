// GraphiQL with an API key: asked for in the page, or taken from the address (#key=…), kept for this tab only.

const EXAMPLES = [
  "events", "metric", "revenue", "recurring-revenue", "cohorts", "funnel", "segments", "personas", "attribution",
  "ai-roi", "ai-budget", "recommendations", "churn-risk", "exchange-rates", "experiment", "flags", "slo",
  "sample-size", "live-metrics", "track-conversion",
];
const STORED = "metrics-gateway.key";
const { React, ReactDOM, GraphiQL, GraphiQLPluginExplorer } = window;

const byId = (id) => document.getElementById(id);
const root = ReactDOM.createRoot(byId("graphiql"));
const explorer = GraphiQLPluginExplorer.explorerPlugin();

function say(text, refused = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("refused", refused);
}

// A key in the address would stay in the history and go wherever the address is copied to.
function takeKeyFromAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) {
    sessionStorage.setItem(STORED, key);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return key;
}

async function exampleTabs() {
  const load = async (name) => {
    const response = await fetch(`/assets/examples/${name}.graphql`);
    return { query: await response.text() };
  };
  return Promise.all(EXAMPLES.map(load));
}

async function judgedFetch(...request) {
  const response = await fetch(...request);
  const answer = await response.clone().json().catch(() => ({}));
  const refused = (answer.errors ?? []).some((error) => error.extensions?.code === "UNAUTHENTICATED");
  say(refused ? "The gateway does not know this key." : "Key accepted.", refused);
  return response;
}

function fetcherFor(key) {
  const authorization = { Authorization: `Bearer ${key}` };
  const socket = new URL("/graphql", location.href);
  socket.protocol = socket.protocol.replace("http", "ws");
  return GraphiQL.createFetcher({
    url: "/graphql",
    subscriptionUrl: socket.href,
    headers: authorization,
    wsConnectionParams: authorization,
    fetch: judgedFetch,
  });
}

async function show() {
  const key = sessionStorage.getItem(STORED);
  byId("key").value = key ?? "";
  byId("forget").hidden = !key;
  byId("empty").hidden = Boolean(key);
  byId("graphiql").hidden = !key;
  say("");
  if (!key) {
    root.render(null);
    byId("key").focus();
    return;
  }
  const properties = {
    key,
    fetcher: fetcherFor(key),
    defaultTabs: await exampleTabs(),
    plugins: [explorer],
    isHeadersEditorEnabled: false,
    shouldPersistHeaders: false,
    inputValueDeprecation: true,
  };
  root.render(React.createElement(GraphiQL, properties));
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = byId("key").value.trim();
  if (key) {
    sessionStorage.setItem(STORED, key);
  } else {
    sessionStorage.removeItem(STORED);
  }
  show();
});

byId("forget").addEventListener("click", () => {
  sessionStorage.removeItem(STORED);
  show();
});

addEventListener("hashchange", () => {
  if (takeKeyFromAddress()) {
    show();
  }
});

takeKeyFromAddress();
show();
