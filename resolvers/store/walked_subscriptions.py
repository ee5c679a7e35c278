"""Subscriptions as they were walked, kept between questions."""

from resolvers.analysis.walked_subscriptions import Walked
from resolvers.store.lasting import Lasting


class WalkedSubscriptions(Lasting[Walked]):
    """Of the tenants and conditions that were asked about last."""
