// What relay-compiler compiles.
import { graphql } from "relay-runtime";

graphql`
  query operationsQuery($first: Int!, $where: FilterInput) {
    ...operations_events @arguments(first: $first, where: $where)
    ...operations_funnels
  }
`;

graphql`
  fragment operations_events on Query
  @refetchable(queryName: "operationsEventsQuery")
  @argumentDefinitions(
    first: { type: "Int", defaultValue: 10 }
    after: { type: "String" }
    where: { type: "FilterInput" }
  ) {
    events(first: $first, after: $after, where: $where) @connection(key: "operations_events") {
      edges {
        node {
          ...operations_event
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;

graphql`
  fragment operations_event on Event @refetchable(queryName: "operationsEventQuery") {
    eventId
    amount
  }
`;

graphql`
  fragment operations_funnels on Query {
    funnels(first: 50) @connection(key: "operations_funnels") {
      __id
      edges {
        node {
          name
          definition {
            window
          }
        }
      }
    }
  }
`;

graphql`
  mutation operationsIngestMutation($input: IngestEventsInput!) {
    ingestEvents(input: $input) {
      ... on Receipt {
        accepted
        conflicts {
          index
          eventId
        }
      }
      ... on Error {
        message
      }
    }
  }
`;

graphql`
  mutation operationsSaveMutation($input: SaveFunnelInput!, $connections: [ID!]!) {
    saveFunnel(input: $input) {
      __typename
      ... on SaveFunnelPayload {
        funnel @appendNode(connections: $connections, edgeTypeName: "SavedFunnelEdge") {
          id
          name
          definition {
            window
          }
        }
      }
      ... on Error {
        code
      }
    }
  }
`;

graphql`
  mutation operationsDeleteMutation($input: DeleteFunnelInput!, $connections: [ID!]!) {
    deleteFunnel(input: $input) {
      ... on DeleteFunnelPayload {
        deletedId @deleteEdge(connections: $connections) @deleteRecord
      }
    }
  }
`;

graphql`
  subscription operationsRevenueSubscription($every: Duration!) {
    revenue(every: $every) {
      total {
        amount
      }
    }
  }
`;
