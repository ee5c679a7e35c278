// Automatic persisted queries as Apollo Client and urql send them: each query asked twice by either, with what went out.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { Client, fetchExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { createHash } from "node:crypto";

const [host, key, ...queries] = process.argv.slice(2);
const url = `http://${host}/graphql`;
const headers = { authorization: `Bearer ${key}` };
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

let sent = [];
const recorded = async (input, init) => {
  const address = new URL(input);
  const body = init.body ? JSON.parse(init.body) : Object.fromEntries(address.searchParams);
  const response = await fetch(input, init);
  sent.push({ method: init.method ?? "GET", whole: "query" in body, status: response.status });
  return response;
};

const apollo = (useGETForHashedQueries) => {
  const persisted = new PersistedQueryLink({ sha256, useGETForHashedQueries });
  const link = ApolloLink.from([persisted, new HttpLink({ uri: url, headers, fetch: recorded })]);
  const client = new ApolloClient({ cache: new InMemoryCache(), link });
  return async (query) => (await client.query({ query: gql(query), fetchPolicy: "network-only" })).data;
};

const urql = (preferGetForPersistedQueries) => {
  const exchanges = [persistedExchange({ preferGetForPersistedQueries, enableForMutation: true }), fetchExchange];
  const client = new Client({ url, exchanges, fetch: recorded, fetchOptions: { headers }, preferGetMethod: false });
  return async (query) => {
    const { data, error } = await client.query(query, {}, { requestPolicy: "network-only" }).toPromise();
    if (error) throw error;
    return data;
  };
};

const answers = [];
for (const [index, ask] of [apollo(false), apollo(true), urql(false), urql(true)].entries()) {
  // A field of its own, so that no client finds the document that another has sent.
  const query = queries[0].replace("hello", `hello${index}: hello`);
  sent = [];
  const data = [await ask(query), await ask(query)];
  answers.push({ data, sent });
}
console.log(JSON.stringify(answers));
process.exit(0);
