//! TYPE A and MODE Z: what becomes of octets between file and network.
