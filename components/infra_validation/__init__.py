"""Parts of `components.infra_validate`."""
