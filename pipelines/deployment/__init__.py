"""Running versions on this host: containers of the service behind HAProxy, and the exchange of one for another."""
