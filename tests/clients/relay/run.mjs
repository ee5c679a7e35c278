// Relay's store: a paginated list, an object fetched again by its id, mutations that edit lists, a subscription.
import { createRequire } from "node:module";
import { createClient } from "graphql-ws";
import relay from "relay-runtime";
import WebSocket from "ws";

const [host, key] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const compiled = (name) => require(`./__generated__/operations${name}.graphql.js`);

const socket = createClient({
  url: `ws://${host}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: `Bearer ${key}` },
  retryAttempts: 0,
});
const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
const send = async ({ text }, variables) => {
  const body = JSON.stringify({ query: text, variables });
  return (await fetch(`http://${host}/graphql`, { method: "POST", headers, body })).json();
};
const watch = ({ text }, variables) =>
  relay.Observable.create((sink) => socket.subscribe({ query: text, variables }, sink));
const environment = new relay.Environment({
  network: relay.Network.create(send, watch),
  store: new relay.Store(new relay.RecordSource()),
});

const asked = (name, variables) => relay.fetchQuery(environment, compiled(name), variables).toPromise();
const read = (name, reference) => environment.lookup(relay.getSelector(compiled(name), reference)).data;
const done = (name, variables) =>
  new Promise((onCompleted, onError) =>
    relay.commitMutation(environment, { mutation: compiled(name), variables, onCompleted, onError }),
  );

const sale = (id, amount = "1") => ({
  conversion: { id, name: "purchase", subject: id, amount, occurredAt: `2026-03-01T00:00:0${id}Z` },
});
const ingest = (...events) => done("IngestMutation", { input: { events } });
const { ingestEvents: sent } = await ingest(...["1", "2", "3"].map((id) => sale(id)));
const { ingestEvents: again } = await ingest(sale("1", "2"), sale("1", "3"));

const where = { name: ["purchase"] };
const root = await asked("Query", { first: 2, where });
const retained = environment.retain(relay.createOperationDescriptor(compiled("Query"), { first: 2, where }));
const page = () => {
  const { edges, pageInfo } = read("_events", root).events;
  return { events: edges.map(({ node }) => read("_event", node)), pageInfo };
};
const first = page();
await asked("EventsQuery", { first: 2, after: first.pageInfo.endCursor, where });
const all = page();
const [edge] = read("_events", root).events.edges;
const refetched = await asked("EventQuery", { id: edge.node.__id });

const funnels = () => read("_funnels", root).funnels.edges.map(({ node }) => [node.name, node.definition.window]);
const lists = [funnels()];
const connections = [read("_funnels", root).funnels.__id];
const steps = [{ event: "signup" }, { event: "purchase" }];
const save = async (input, into) => (await done("SaveMutation", { input, connections: into })).saveFunnel;
const { funnel } = await save({ name: "sales", steps }, connections);
lists.push(funnels());
await save({ name: "sales", steps, window: "2d" }, []);
lists.push(funnels());
const refused = await save({ name: "sales", steps: [] }, []);
await done("DeleteMutation", { input: { id: funnel.id }, connections });
lists.push(funnels());

const totals = await new Promise((resolve, onError) => {
  const seen = [];
  const onNext = ({ revenue }) => {
    seen.push(revenue.total.amount);
    if (seen.length === 1) ingest({ conversion: { name: "purchase", subject: "4", amount: "7.50" } });
    else resolve(seen);
  };
  const subscription = compiled("RevenueSubscription");
  relay.requestSubscription(environment, { subscription, variables: { every: "100ms" }, onNext, onError });
});
retained.dispose();
await socket.dispose();
console.log(JSON.stringify({ sent, again, first, all, refetched: read("_event", refetched.node), lists, refused, totals }));
