"""Provenance, the promotion ledger, and the audit that proves them."""
