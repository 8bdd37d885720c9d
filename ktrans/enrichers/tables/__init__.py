"""Tables that enrichers read: prefixes, prices, registered names."""
