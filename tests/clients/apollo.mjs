// Apollo Client: queries and mutations by HTTP, subscriptions by WebSocket, a normalised cache.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { socket } from "./graphql_ws.mjs";

// Without it the cache cannot tell which types a fragment on an interface fits.
const possibleTypes = { Error: ["InvalidInput", "NotFound", "Unauthenticated", "Forbidden", "Overloaded"] };

export function open(host, key) {
  const webSocket = socket(host, key);
  const client = new ApolloClient({
    cache: new InMemoryCache({ possibleTypes }),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(webSocket),
      new HttpLink({ uri: `http://${host}/graphql`, headers: { authorization: `Bearer ${key}` } }),
    ),
  });
  const subscribe = (query, next, complete) => {
    const taken = ({ data, error }) => next(error ? { errors: error.errors } : { data });
    const subscription = client.subscribe({ query: gql(query) }).subscribe({ next: taken, complete });
    return () => subscription.unsubscribe();
  };
  const execute = async (source) => {
    const query = gql(source);
    try {
      const isMutation = query.definitions[0].operation === OperationTypeNode.MUTATION;
      const { data } = await (isMutation ? client.mutate({ mutation: query }) : client.query({ query }));
      return { data };
    } catch ({ name, errors }) {
      return { name, errors };
    }
  };
  const close = () => {
    client.stop();
    return webSocket.dispose();
  };
  return { subscribe, execute, close };
}
