// The conformance suite of GraphQL over HTTP; prints the audits that are not passed.
import { auditServer } from "graphql-http";

const [host, key] = process.argv.slice(2);
const results = await auditServer({
  url: `http://${host}/graphql`,
  fetchFn: (url, init = {}) => fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${key}` } }),
});
const failed = results.filter((result) => result.status !== "ok").map(({ id, name, reason }) => ({ id, name, reason }));
console.log(JSON.stringify({ audits: results.length, failed }));
