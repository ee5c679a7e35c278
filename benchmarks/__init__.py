"""How fast the gateway is, as ratios against the bare thing, measured interleaved in one run."""
