"""The operator's page: what the network says, what the fund does with it, what the token pays, in one read-only page."""
