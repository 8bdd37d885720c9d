"""Places of both ends of a flow, the class of the path between them, and its price."""
