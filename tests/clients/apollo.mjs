// Apollo Client: queries and mutations by HTTP, subscriptions by WebSocket.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [host, key, ...queries] = process.argv.slice(2);
const socket = createClient({
  url: `ws://${host}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: `Bearer ${key}` },
  retryAttempts: 0,
});
const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    new HttpLink({ uri: `http://${host}/graphql`, headers: { authorization: `Bearer ${key}` } }),
  ),
});

const subscribed = (query) =>
  new Promise((resolve) => {
    const answer = [];
    client.subscribe({ query }).subscribe({
      next: ({ data, error }) => answer.push(error ? { errors: error.errors } : { data }),
      complete: () => resolve(answer),
    });
  });

const executed = async (query, kind) => {
  try {
    const { data } = await (kind === "mutation" ? client.mutate({ mutation: query }) : client.query({ query }));
    return [{ data }];
  } catch ({ name, errors }) {
    return [{ name, errors }];
  }
};

const answers = [];
for (const query of queries.map((source) => gql(source))) {
  const kind = query.definitions[0].operation;
  answers.push(await (kind === "subscription" ? subscribed(query) : executed(query, kind)));
}
await socket.dispose();
client.stop();
console.log(JSON.stringify(answers));
