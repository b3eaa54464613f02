"""The certificate of an audit: what was found, what it rests on, and what was not checked."""
